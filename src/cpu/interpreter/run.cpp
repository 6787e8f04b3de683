// The run loop: blocks one after another, events between them, faults on their way to the guest.
// SDM volume 3 section 6.9 for the order of events.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/interpreter/trace.hpp"

#include <algorithm>
#include <utility>

namespace strata::cpu::interpreter {

namespace flag = x86::flag;

GuardedBus::Away::Away(Cpu& cpu) : cpu_(cpu) { cpu_.leave_for_device(); }

GuardedBus::Away::~Away() { cpu_.return_from_device(); }

// For its lifetime the processor is at work on guest memory, and the host's floating-point unit is the
// guest's.
class Cpu::AtWork {
public:
    explicit AtWork(Cpu& cpu) : environment_(cpu.fp.mxcsr), cpu_(cpu) {
        cpu_.return_to_memory();
        cpu_.retired_at_entry_ = cpu_.retired_;
    }

    ~AtWork() { cpu_.leave_memory(); }

    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;

private:
    x86::GuestEnvironment environment_;
    Cpu& cpu_;
};

Exit Cpu::run() {
    const AtWork at_work(*this);
    runs_freely_ = true;
    deadline_ = 0;
    for (;;) {
        if (due()) {
            meet_deadline();
        }
        if (const auto exit = run_once(signals_.pending())) {
            return *exit;
        }
    }
}

std::optional<Exit> Cpu::run_stretch(std::uint32_t pending, bool briefly) {
    const AtWork at_work(*this);
    runs_freely_ = false;
    return run_once(pending, briefly);
}

std::optional<Exit> Cpu::run_once(std::uint32_t pending, bool briefly) {
    if ((pending & wanted_signals_) != 0 || activity != x86::Activity::active) {
        if (const auto exit = attend(pending)) {
            return exit;
        }
    }
    if (briefly) {
        signals_.set(Signals::engine);
    }
    begin_block();
    if (stepping_ || sti_shadow || movss_shadow || std::exchange(step_next_, false)) {
        return step();
    }
    config_.time != nullptr ? run_counted_blocks() : run_blocks();
    return std::nullopt;
}

bool Cpu::attention() const {
    return (signals_.pending() & wanted_signals_) != 0 || activity != x86::Activity::active;
}

bool Cpu::takes_interrupt() const {
    return (signals_.pending() & wanted_signals_) == Signals::interrupt &&
           activity == x86::Activity::active && runs_freely_ && config_.time == nullptr && !stepping_ &&
           !step_next_ && !sti_shadow && !movss_shadow;
}

// ---- execution ----

void Cpu::run_blocks() {
    const Insn* first = nullptr;
    const Insn* insn = nullptr;
    try {
        Block* block = &find_block();
        for (;;) {
            if (code_breakpoints_ && has_breakpoint(block->linear, block->bytes)) {
                step_next_ = true;
                return;
            }
            Block* next_block = nullptr;
            if (accelerates() && accelerator_->execute(*block, next_block)) {
                if (block_ended_ || (signals_.pending() & wanted_signals_)) {
                    return;
                }
                if (next_block == nullptr) {
                    block = &find_block();
                    continue;
                }
                block = next_block;
            }
            first = insn = block->insns;
            const Insn* const end = first + block->count;
            std::uint64_t next = rip();
            do {
                next += insn->length;
                rip() = next;
                insn->handler(*this, *insn);
                ++insn;
            } while (insn != end && !block_ended_);
            retired_ += static_cast<std::uint64_t>(insn - first);
            first = insn = nullptr;
            if (block_ended_ || (signals_.pending() & wanted_signals_)) {
                return;
            }
            block = follow(*block);
        }
    } catch (const Fault& fault) {
        if (insn != nullptr) {
            rip() -= insn->length;
            retired_ += static_cast<std::uint64_t>(insn - first);
        }
        deliver_fault(fault);
    }
}

// The same where time is made of instructions: each is counted before it looks at a clock, and none is begun
// when time is to be looked at.
void Cpu::run_counted_blocks() {
    const Insn* insn = nullptr;
    try {
        for (Block* block = &find_block();;) {
            if (code_breakpoints_ && has_breakpoint(block->linear, block->bytes)) {
                step_next_ = true;
                return;
            }
            Block* next_block = nullptr;
            if (accelerates() && accelerator_->execute(*block, next_block)) {
                if (block_ended_ || attention() || due()) {
                    return;
                }
                if (next_block == nullptr) {
                    block = &find_block();
                    continue;
                }
                block = next_block;
            }
            insn = block->insns;
            const Insn* const end = insn + std::min<std::uint64_t>(block->count, deadline_ - retired_);
            do {
                rip() += insn->length;
                insn->handler(*this, *insn);
                ++retired_;
                ++insn;
            } while (insn != end && !block_ended_ && retired_ < deadline_);
            insn = nullptr;
            if (block_ended_ || (signals_.pending() & wanted_signals_) || due()) {
                return;
            }
            block = follow(*block);
        }
    } catch (const Fault& fault) {
        if (insn != nullptr) {
            rip() -= insn->length;
        }
        deliver_fault(fault);
    }
}

bool Cpu::accelerates() const {
    return accelerator_ != nullptr && (!code_breakpoints_ || accelerator_->keeps_to_blocks());
}

Block* Cpu::follow(Block& block) {
    const std::uint64_t linear = code_linear();
    for (Block* link : block.links) {
        if (link != nullptr && link->linear == linear && current(*link)) {
            return link;
        }
    }
    const std::uint64_t epoch = blocks_.epoch();
    Block& next = find_block();
    if (blocks_.epoch() == epoch && current(next)) {
        block.links[block.oldest_link] = &next;
        block.oldest_link ^= 1;
    }
    return &next;
}

// Whether it completed; if not, its fault has been delivered.
bool Cpu::execute_one() {
    const Insn* insn = nullptr;
    try {
        const Block& block = find_block();
        insn = block.insns;
        if (other_flags & flag::rf) {
            other_flags &= ~flag::rf;
            look_at_controls();
        }
        rip() += insn->length;
        if (config_.trace.instructions) {
            trace_instruction(*this, insn->length);
        }
        insn->handler(*this, *insn);
        ++retired_;
        return true;
    } catch (const Fault& fault) {
        if (insn != nullptr) {
            rip() -= insn->length;
        }
        deliver_fault(fault);
        return false;
    }
}

void Cpu::deliver_fault(const Fault& fault) {
    deliver(static_cast<std::uint8_t>(fault.vector), EventKind::exception, fault.error_code);
}

// ---- time ----

void Cpu::leave_for_device() {
    leave_memory();
    if (config_.time != nullptr) {
        config_.time->reached(retired_);
    }
}

void Cpu::return_from_device() {
    deadline_ = 0; // the device may want to be called earlier
    return_to_memory();
}

void Cpu::meet_deadline() {
    std::uint64_t next = 0;
    {
        const GuardedBus::Away away(*this);
        next = config_.time->attend();
    }
    deadline_ = next;
}

// ---- events ----

std::optional<Exit> Cpu::attend(std::uint32_t pending) {
    if (pending & Signals::leave) {
        signals_.clear(Signals::leave);
        return Exit::requested;
    }
    if (activity == x86::Activity::shutdown && (pending & Signals::init) == 0) {
        return Exit::shutdown;
    }
    take_events(pending);
    switch (activity) {
    case x86::Activity::active: return std::nullopt;
    case x86::Activity::halted: return Exit::halt;
    case x86::Activity::wait_sipi: return Exit::wait_sipi;
    case x86::Activity::shutdown: return Exit::shutdown;
    }
    return std::nullopt;
}

void Cpu::take_events(std::uint32_t pending) {
    if (pending & Signals::engine) {
        signals_.clear(Signals::engine);
        take_code_notices();
    }
    if (pending & Signals::flush_tlb) {
        signals_.clear(Signals::flush_tlb);
        flush_tlb(true);
    }
    if (pending & Signals::init) {
        signals_.clear(Signals::init);
        init();
        return;
    }
    if (activity == x86::Activity::wait_sipi) {
        if (pending & Signals::startup) {
            signals_.clear(Signals::startup);
            take_startup();
        }
        return;
    }
    signals_.clear(Signals::startup);
    take_interrupt(pending & wanted_signals_);
}

// NMI before INTR; neither in the shadow of MOV SS, INTR not in that of STI.
void Cpu::take_interrupt(std::uint32_t pending) {
    if (movss_shadow) {
        return;
    }
    if (pending & Signals::nmi) {
        signals_.clear(Signals::nmi);
        activity = x86::Activity::active;
        nmi_blocked = true;
        deliver(static_cast<std::uint8_t>(x86::Vector::nmi), EventKind::nmi);
        mode_changed();
        return;
    }
    if ((pending & Signals::interrupt) && !sti_shadow) {
        if (const auto vector = bus_.acknowledge_interrupt()) {
            activity = x86::Activity::active;
            deliver(*vector, EventKind::external);
        }
    }
}

} // namespace strata::cpu::interpreter
