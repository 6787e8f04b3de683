// The run loop. What the guest does comes out as calls of the bus (exits.cpp); what others want of the vCPU
// comes by its signals, between two runs of the guest.
#include "cpu/kvm/vcpu.hpp"

#include "cpu/kvm/cpuid.hpp"
#include "cpu/x86/registers.hpp"
#include "cpu/x86/reset.hpp"

#include <cerrno>

namespace strata::cpu::kvm {

using x86::Activity;

Result<std::unique_ptr<KvmVcpu>> KvmVcpu::create(Machine& machine, const VcpuConfig& config, Bus& bus) {
    auto descriptor = VcpuDescriptor::create(machine, config.id);
    if (!descriptor) {
        return std::unexpected(descriptor.error());
    }
    if (auto set = descriptor->set_cpuid(cpuid_entries(config, bus)); !set) {
        return std::unexpected(set.error());
    }
    if (const auto khz = static_cast<std::uintptr_t>(config.tsc_hz / 1000);
        descriptor->descriptor().raw(KVM_GET_TSC_KHZ) != static_cast<int>(khz)) {
        if (descriptor->descriptor().raw(KVM_SET_TSC_KHZ, khz) != 0) {
            return fail("this host's processor can't make its time-stamp counter run at the machine's rate",
                        "start the machine on this host with --engine kvm or auto");
        }
    }
    std::unique_ptr<KvmVcpu> vcpu(new KvmVcpu(machine, std::move(*descriptor), config, bus));
    vcpu->reset();
    if (vcpu->error_) {
        return std::unexpected(*vcpu->error_);
    }
    return vcpu;
}

KvmVcpu::KvmVcpu(Machine& machine, VcpuDescriptor descriptor, const VcpuConfig& config, Bus& bus)
    : machine_(machine), descriptor_(std::move(descriptor)), config_(config), model_(*config.model),
      bus_(bus), kick_(descriptor_.run()) {}

Exit KvmVcpu::run() {
    begin();
    for (;;) {
        if (error_) {
            return Exit::shutdown;
        }
        auto exit = attend();
        if (!exit) {
            enter(signals_.pending(), false);
            exit = handle();
        }
        if (exit) {
            stopped_ = *exit == Exit::requested || *exit == Exit::debug;
            return *exit;
        }
    }
}

void KvmVcpu::begin() {
    set_tsc();
    if (coming_apic_) {
        put_local_apic(*coming_apic_);
        coming_apic_.reset();
    }
    if (stopped_ && debug_.has_breakpoints()) {
        debug_.begin(linear_rip());
    }
    stopped_ = false;
}

std::optional<Exit> KvmVcpu::attend() {
    const std::uint32_t pending = signals_.pending();
    if (pending & Signals::leave) {
        settle();
        machine_.time().keep_drift(host_tsc());
        signals_.clear(Signals::leave);
        return Exit::requested;
    }
    if (shut_down_ && (pending & Signals::init) == 0) {
        return Exit::shutdown;
    }
    take_events(pending);
    return std::nullopt;
}

// INIT and start-up come to the kernel's local APIC; those here came while the machine had another engine.
void KvmVcpu::take_events(std::uint32_t pending) {
    signals_.clear(Signals::flush_tlb | Signals::engine); // the kernel sees to both by itself
    if (pending & Signals::init) {
        settle();
        auto after = state();
        x86::init(after, model_, config_.id == 0);
        set_state(after);
        set_tsc();
    }
    if ((pending & Signals::startup) && activity() == Activity::wait_sipi) {
        auto after = state();
        x86::start_up(after, signals_.startup_vector.load());
        set_state(after);
        set_tsc();
    }
    signals_.clear(Signals::init | Signals::startup);
    offer_interrupts(pending);
}

// Those of the 8259s: one that the guest does not take now makes the kernel come back when it does.
void KvmVcpu::offer_interrupts(std::uint32_t pending) {
    if (pending & Signals::nmi) {
        signals_.clear(Signals::nmi);
        check(STRATA_KVM_CALL(descriptor_.descriptor(), KVM_NMI, 0));
        ready_ = false;
    }
    if ((pending & Signals::interrupt) && ready_) {
        if (const auto vector = bus_.acknowledge_interrupt()) {
            check(STRATA_KVM_SET(descriptor_, KVM_INTERRUPT, kvm_interrupt{.irq = *vector}));
            ready_ = false;
        }
    }
    shared().request_interrupt_window = (signals_.pending() & Signals::interrupt) != 0;
}

void KvmVcpu::enter(std::uint32_t seen_signals, bool at_once) {
    if (const auto debug = debug_.request()) {
        check(STRATA_KVM_SET(descriptor_, KVM_SET_GUEST_DEBUG, *debug));
    }
    kick_.enter();
    if (at_once || (signals_.pending() & ~seen_signals) != 0) {
        kick_.come_back_at_once();
    }
    const int result = descriptor_.descriptor().raw(KVM_RUN);
    const int code = result < 0 ? errno : 0;
    kick_.leave();
    unfinished_ = false;
    if (code == EINTR || code == EAGAIN) {
        shared().exit_reason = KVM_EXIT_INTR;
    } else if (code != 0) {
        fail_with(fail_errno("run", "a vCPU by KVM", code).error());
        shared().exit_reason = KVM_EXIT_INTR;
    }
    counts_.add(shared().exit_reason);
    ready_ = shared().ready_for_interrupt_injection != 0;
}

void KvmVcpu::settle() {
    while (unfinished_ && !error_) {
        enter(0, true);
        static_cast<void>(handle()); // a stop for the debugger is one already
    }
}

} // namespace strata::cpu::kvm
