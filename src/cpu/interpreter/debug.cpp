// Breakpoints: the guest's own in DR0 to DR7, and the debugger's. SDM volume 3 sections 17.2 and 17.3.
// While any watches data, every access goes the slow way and each instruction is a step of its own; while any
// is on code, blocks that it lies in are stepped through.
#include "base/bits.hpp"
#include "cpu/interpreter/cpu.hpp"

#include <algorithm>

namespace strata::cpu::interpreter {

namespace {

enum class Condition : std::uint8_t { execute, write, port, access };

struct Breakpoint {
    bool enabled;
    Condition condition;
    std::uint64_t size;
};

Breakpoint breakpoint(std::uint64_t dr7, unsigned number) {
    static constexpr std::array<std::uint64_t, 4> sizes{1, 2, 8, 4};
    const std::uint64_t field = bits(dr7, 16 + number * 4 + 3, 16 + number * 4);
    return {bits(dr7, number * 2 + 1, number * 2) != 0, static_cast<Condition>(field & 3), sizes[field >> 2]};
}

bool overlap(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) {
    return a - b < b_size || b - a < a_size;
}

} // namespace

void Cpu::set_debug(const DebugControl& control) {
    debug_ = control;
    mode_changed();
}

void Cpu::look_at_breakpoints() {
    const bool armed = system.dr7 & x86::dr7::enables;
    code_breakpoints_ = !debug_.breakpoints.empty();
    watching_ = !debug_.watches.empty();
    for (unsigned number = 0; armed && number < system.dr.size(); ++number) {
        const Breakpoint point = breakpoint(system.dr7, number);
        if (point.enabled) {
            (point.condition == Condition::execute ? code_breakpoints_ : watching_) = true;
        }
    }
}

// ---- code ----

std::uint64_t Cpu::guest_code_breakpoints(std::uint64_t linear, std::uint64_t size) const {
    std::uint64_t hits = 0;
    for (unsigned number = 0; number < system.dr.size(); ++number) {
        const Breakpoint point = breakpoint(system.dr7, number);
        if (point.enabled && point.condition == Condition::execute && system.dr[number] - linear < size) {
            hits |= bit(number);
        }
    }
    return hits;
}

bool Cpu::has_breakpoint(std::uint64_t linear, std::uint64_t size) const {
    return guest_code_breakpoints(linear, size) != 0 ||
           std::ranges::any_of(debug_.breakpoints,
                               [&](std::uint64_t address) { return address - linear < size; });
}

// ---- data and ports: the instruction ends first ----

void Cpu::note_access(std::uint64_t linear, unsigned size, Access access) {
    for (unsigned number = 0; number < system.dr.size(); ++number) {
        const Breakpoint point = breakpoint(system.dr7, number);
        const bool wanted = point.condition == Condition::access ||
                            (point.condition == Condition::write && access == Access::write);
        if (point.enabled && wanted &&
            overlap(linear, size, align_down(system.dr[number], point.size), point.size)) {
            debug_hits_ |= bit(number);
        }
    }
    for (const DebugControl::Watch& watch : debug_.watches) {
        const bool wanted = access == Access::write ? watch.on_write : watch.on_read;
        if (wanted && overlap(linear, size, watch.address, watch.size)) {
            watch_hit_ =
                DebugEvent{DebugEvent::Kind::watch, std::max(linear, watch.address), access == Access::write};
        }
    }
}

void Cpu::note_port(std::uint16_t port, unsigned size) {
    if (!watching_ || (system.cr4 & x86::cr4::de) == 0) {
        return;
    }
    for (unsigned number = 0; number < system.dr.size(); ++number) {
        const Breakpoint point = breakpoint(system.dr7, number);
        if (point.enabled && point.condition == Condition::port &&
            overlap(port, size, align_down(system.dr[number], point.size), point.size)) {
            debug_hits_ |= bit(number);
        }
    }
}

// ---- stepping ----

// One instruction, with all that can happen around it. Returns why the run ends, if it does.
std::optional<Exit> Cpu::step() {
    const bool trap = other_flags & x86::flag::tf;
    const bool resumed = other_flags & x86::flag::rf;
    const bool held = movss_shadow; // debug exceptions wait until the stack is whole
    const std::uint64_t linear = code_linear();
    const bool first = retired_ == retired_at_entry_; // of this run: a breakpoint on it has been reported
    if (!first && std::ranges::find(debug_.breakpoints, linear) != debug_.breakpoints.end()) {
        debug_event_ = {DebugEvent::Kind::breakpoint, linear, false};
        return Exit::debug;
    }
    if (!resumed && !held && code_breakpoints_) {
        if (const std::uint64_t hits = guest_code_breakpoints(linear, 1)) {
            raise_debug(hits);
            return std::nullopt;
        }
    }
    sti_shadow = movss_shadow = event_delivered_ = false;
    if (!execute_one()) {
        debug_hits_ = 0;
        watch_hit_.reset();
    } else if (!movss_shadow && !event_delivered_ && (trap || debug_hits_ != 0)) {
        raise_debug(std::exchange(debug_hits_, 0) | (trap ? x86::dr6::bs : 0));
    }
    if (watch_hit_) {
        debug_event_ = *std::exchange(watch_hit_, std::nullopt);
        return Exit::debug;
    }
    if (debug_.single_step) {
        debug_event_ = {DebugEvent::Kind::step, code_linear(), false};
        return Exit::debug;
    }
    return std::nullopt;
}

void Cpu::raise_debug(std::uint64_t dr6_bits) {
    system.dr6 |= dr6_bits;
    deliver(static_cast<std::uint8_t>(x86::Vector::debug), EventKind::exception);
}

} // namespace strata::cpu::interpreter
