#include "cpu/lockstep/checked_vcpu.hpp"

#include "cpu/kvm/kept_state.hpp"
#include "cpu/lockstep/comparison.hpp"
#include "cpu/lockstep/steppable.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace strata::cpu::lockstep {

using memory::GuestPhysical;
using memory::page_size;

namespace {

// The interpreter's, which tells of events.
VcpuConfig telling(VcpuConfig config, TraceSink& sink) {
    config.trace = {.instructions = false, .exceptions = true, .interrupts = true};
    config.trace_sink = &sink;
    return config;
}

} // namespace

Result<std::unique_ptr<CheckedVcpu>> CheckedVcpu::create(memory::GuestMemory& memory,
                                                         memory::GuestMemory& copy, kvm::Machine& hardware,
                                                         const Clock& clock, const VcpuConfig& config,
                                                         Bus& bus, const Sampling& sampling) {
    std::unique_ptr<CheckedVcpu> vcpu(new CheckedVcpu(memory, copy, hardware, clock, config, bus, sampling));
    auto processor = kvm::KvmVcpu::create(hardware, config, vcpu->hardware_bus_);
    if (!processor) {
        return std::unexpected(processor.error());
    }
    vcpu->processor_ = std::move(*processor);
    vcpu->processor_->set_debug({.single_step = true});
    return vcpu;
}

CheckedVcpu::CheckedVcpu(memory::GuestMemory& memory, memory::GuestMemory& copy, kvm::Machine& hardware,
                         const Clock& clock, const VcpuConfig& config, Bus& bus, const Sampling& sampling)
    : memory_(memory), copy_(copy), hardware_(hardware), model_(*config.model), sampling_(sampling),
      device_writes_(memory), bus_(bus, device_writes_, clock, recorded_time_), shared_(memory, clock),
      cpu_(shared_, telling(config, *this), bus_), hardware_bus_(copy, replayed_time_, bus),
      timer_([this](const std::stop_token& stop) { announce_samples(stop); }) {
    memory_.set_write_observer(&device_writes_);
}

CheckedVcpu::~CheckedVcpu() { memory_.set_write_observer(nullptr); }

void CheckedVcpu::set_state(const x86::State& state) {
    stop_sampling();
    cpu_.set_state(state);
}

void CheckedVcpu::reset() {
    stop_sampling();
    cpu_.reset();
}

void CheckedVcpu::set_debug(const DebugControl& control) {
    stop_sampling();
    debugged_ = control.single_step || !control.breakpoints.empty() || !control.watches.empty();
    cpu_.set_debug(control);
}

void CheckedVcpu::trace(unsigned, std::string_view) { ++events_; }

Exit CheckedVcpu::run() {
    device_writes_.adopt_thread();
    at_work_ = true;
    std::optional<Exit> exit;
    while (!exit && !failure_) {
        if (left_ == 0 && !debugged_ && due_.exchange(false)) {
            begin_sample();
        }
        exit = left_ > 0 ? run_checked() : run_unchecked();
    }
    at_work_ = false;
    return failure_ ? Exit::shutdown : *exit;
}

std::optional<Exit> CheckedVcpu::run_unchecked() {
    stretch_ = {};
    bus_.begin(stretch_);
    return cpu_.run_stretch(signals().pending());
}

// ---- samples ----

void CheckedVcpu::begin_sample() {
    static_cast<void>(device_writes_.take()); // what comes from now on is given to the copy
    devices_.clear();
    hardware_.collect_dirty();
    give_pages(copy_.take_dirty());
    give_pages(memory_.take_dirty());
    give_state();
    signals().set(Signals::flush_tlb); // so that writes are seen in the dirty log
    cpu_.set_debug({.single_step = true});
    left_ = sampling_.instructions;
    sampled_ = true;
    samples_.fetch_add(1, std::memory_order_relaxed);
}

// Pages that only the hardware wrote would show here.
void CheckedVcpu::end_sample() {
    give_device_writes();
    hardware_.collect_dirty();
    if (const std::string what = pages_differ(copy_.dirty()); !what.empty()) {
        differ(what, "in the last instructions before " + describe(cpu_.state()));
    }
    stop_sampling();
}

void CheckedVcpu::stop_sampling() {
    if (left_ > 0) {
        left_ = 0;
        sampled_ = true;
        cpu_.set_debug({});
    }
}

std::optional<Exit> CheckedVcpu::run_checked() {
    give_device_writes();
    const auto instruction = instruction_at_rip(cpu_, memory_);
    const x86::State before = cpu_.state();
    const std::uint64_t events_before = events_;
    stretch_ = {};
    bus_.begin(stretch_);
    const auto exit = cpu_.run_stretch(signals().pending());
    const auto written = memory_.dirty();
    if (exit != Exit::debug) { // nothing was done, or not only an instruction
        stop_sampling();
        return exit;
    }
    const bool plain = events_ == events_before && instruction && steppable(*instruction, before) &&
                       come_out(stretch_) && !cpu_.movss_shadow;
    if (plain) {
        check({.instruction = *instruction, .before = before, .written = written});
    } else {
        not_steppable_.fetch_add(1, std::memory_order_relaxed);
        give_pages(written);
        give_state();
    }
    if (!failure_ && left_ == 1) {
        end_sample();
    } else {
        --left_;
    }
    return std::nullopt;
}

// ---- one instruction ----

void CheckedVcpu::check(const Done& done) {
    const std::string what = differences(done);
    if (what.empty()) {
        compared_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    if (const auto writes = device_writes_.take(); !writes.empty()) { // the interpreter may have seen them
        not_compared_.fetch_add(1, std::memory_order_relaxed);
        begin_sample();
        return;
    }
    differ(what, done.instruction.text() + "\nboth were at:\n" + describe(done.before));
}

std::string CheckedVcpu::differences(const Done& done) {
    hardware_bus_.begin(stretch_);
    try {
        if (processor_->run() != Exit::debug) {
            const auto error = processor_->failure();
            return fmt::format("  the processor did not get to the next instruction{}\n",
                               error ? ": " + error->message : "");
        }
    } catch (const OtherCall& call) {
        return fmt::format("  {}\n", call.what);
    }
    if (!hardware_bus_.finished()) {
        return "  the processor made fewer calls of the bus\n";
    }
    return states_differ(done) + pages_differ(done.written);
}

std::string CheckedVcpu::states_differ(const Done& done) {
    x86::State theirs = processor_->state();
    x86::State ours = kvm::as_kept(cpu_.state(), theirs, model_);
    const auto* effect = done.instruction.decoded.cpu_flags;
    const std::uint64_t undefined = effect != nullptr ? effect->undefined & x86::flag::arithmetic : 0;
    const bool flags_differ = ((ours.rflags ^ theirs.rflags) & undefined) != 0;
    theirs.rflags =
        (theirs.rflags & ~(undefined | x86::flag::rf)) | (ours.rflags & (undefined | x86::flag::rf));
    theirs.sti_shadow = ours.sti_shadow; // the interpreter has none where nothing waits
    theirs.system.tsc_offset = ours.system.tsc_offset;
    kvm::leave_visible_parts(theirs);
    kvm::leave_visible_parts(ours);
    const std::string what = difference(ours, theirs);
    if (what.empty() && flags_differ) {
        give_state();
    }
    return what;
}

std::string CheckedVcpu::pages_differ(const std::vector<GuestPhysical>& pages) const {
    std::string text;
    for (const GuestPhysical page : pages) {
        const std::byte* ours = memory_.host(page, page_size);
        const std::byte* theirs = copy_.host(page, page_size);
        if (std::memcmp(ours, theirs, page_size) == 0 || devices_.contains(page)) {
            continue;
        }
        const std::byte* const at = std::mismatch(ours, ours + page_size, theirs).first;
        const auto offset = static_cast<std::uint64_t>(at - ours);
        text +=
            fmt::format("  memory at {:#x}: {:#04x}  {:#04x}\n", page + offset, ours[offset], theirs[offset]);
    }
    return text;
}

void CheckedVcpu::give_state() {
    processor_->set_state(cpu_.state());
    if (const auto error = processor_->failure()) {
        differ("  the processor does not take the state: " + error->message + "\n", describe(cpu_.state()));
    }
}

void CheckedVcpu::give_pages(const std::vector<GuestPhysical>& pages) {
    for (const GuestPhysical page : pages) {
        std::memcpy(copy_.host(page, page_size), memory_.host(page, page_size), page_size);
    }
}

void CheckedVcpu::give_device_writes() {
    for (const DeviceWrite& write : device_writes_.take()) {
        static_cast<void>(copy_.write(write.address, write.bytes.data(), write.bytes.size()));
        for (GuestPhysical page = write.address & ~(page_size - 1); page < write.address + write.bytes.size();
             page += page_size) {
            devices_.insert(page);
        }
    }
}

void CheckedVcpu::differ(const std::string& what, const std::string& where) {
    failure_ = Error{fmt::format("interpreter and processor differ after {} compared instructions:\n"
                                 "  what      interpreter         processor\n{}{}",
                                 compared_.load(), what, where)};
}

void CheckedVcpu::announce_samples(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        std::this_thread::sleep_for(sampling_.pause);
        if (at_work_ && !sampled_.exchange(false)) { // the guest has had the pause to itself
            due_ = true;
            signals().set(Signals::engine);
        }
    }
}

Counts CheckedVcpu::counts() const {
    return {{"instructions-compared", compared_.load()},
            {"not-steppable", not_steppable_.load()},
            {"not-compared", not_compared_.load()},
            {"samples", samples_.load()}};
}

} // namespace strata::cpu::lockstep
