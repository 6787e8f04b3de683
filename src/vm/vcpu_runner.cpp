#include "vm/vcpu_runner.hpp"

#include "cpu/assistance.hpp"
#include "cpu/x86/registers.hpp"

#include <fmt/format.h>
#include <pthread.h>

namespace strata::vm {

using cpu::Signals;

VcpuRunner::VcpuRunner(unsigned id, std::unique_ptr<cpu::Vcpu> vcpu, StopCallback on_stop, CountedTime* time)
    : id_(id), vcpu_(std::move(vcpu)), on_stop_(std::move(on_stop)), time_(time),
      thread_([this] { loop(); }) {
    pthread_setname_np(thread_.native_handle(), fmt::format("vcpu{}", id).c_str());
}

VcpuRunner::~VcpuRunner() {
    want(Wanted::ended);
    thread_.join();
}

void VcpuRunner::want(Wanted wanted) {
    {
        const std::lock_guard lock(mutex_);
        wanted_ = wanted;
        if (wanted == Wanted::running) {
            parked_ = false; // from now on wait_parked() waits for the next time
        }
    }
    changed_.notify_all();
    if (wanted != Wanted::running) {
        cpu::signal(*vcpu_, Signals::leave);
    }
}

void VcpuRunner::resume() { want(Wanted::running); }

void VcpuRunner::request_park() { want(Wanted::parked); }

void VcpuRunner::wait_parked() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return parked_; });
}

bool VcpuRunner::parked() {
    const std::lock_guard lock(mutex_);
    return parked_;
}

bool VcpuRunner::wait_until_wanted() {
    std::unique_lock lock(mutex_);
    while (wanted_ == Wanted::parked) {
        parked_ = true; // told again each time: a resume() may have been taken back before it was seen
        changed_.notify_all();
        changed_.wait(lock);
    }
    return wanted_ == Wanted::running;
}

void VcpuRunner::sleep_while_halted() {
    const Signals& signals = vcpu_->signals();
    constexpr std::uint32_t always = Signals::nmi | Signals::init | Signals::startup | Signals::leave |
                                     Signals::flush_tlb | Signals::engine | Signals::smi;
    // INTR does not wake a processor that halted with interrupts off, or one that waits for start-up.
    if (signals.pending() & Signals::interrupt) {
        const auto state = vcpu_->state();
        const bool deaf =
            !(state.rflags & cpu::x86::flag::if_) || state.activity == cpu::x86::Activity::wait_sipi;
        sleep_until(deaf ? always : always | Signals::interrupt);
    } else {
        sleep_until(always | Signals::interrupt);
    }
}

void VcpuRunner::sleep_until(std::uint32_t signals) {
    if (time_ != nullptr) {
        time_->reached(vcpu_->instructions_retired());
        while ((vcpu_->signals().pending() & signals) == 0 && time_->skip()) {
        }
    }
    vcpu_->signals().wait_for(signals);
}

void VcpuRunner::stop_by_itself(cpu::Exit exit) {
    {
        const std::lock_guard lock(mutex_);
        if (wanted_ == Wanted::running) {
            wanted_ = Wanted::parked;
        }
    }
    on_stop_(id_, exit);
}

void VcpuRunner::loop() {
    while (wait_until_wanted()) {
        switch (const cpu::Exit exit = vcpu_->run()) {
        case cpu::Exit::halt:
        case cpu::Exit::wait_sipi: sleep_while_halted(); break;
        case cpu::Exit::shutdown:
        case cpu::Exit::debug: stop_by_itself(exit); break;
        case cpu::Exit::requested: break;
        }
    }
    const std::lock_guard lock(mutex_);
    parked_ = true;
    changed_.notify_all();
}

} // namespace strata::vm
