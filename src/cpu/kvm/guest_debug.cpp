#include "cpu/kvm/guest_debug.hpp"

#include "cpu/x86/registers.hpp"

#include <algorithm>

namespace strata::cpu::kvm {
namespace {

constexpr std::size_t register_count = 4;
constexpr std::uint64_t on_execution = 0, on_write = 1, on_access = 3; // R/W
constexpr std::uint64_t exact = 1 << 9;                                // DR7.GE, for old processors

// LEN for an aligned watch of this size, in DR7's place behind R/W.
constexpr std::uint64_t length_bits(std::uint64_t size) {
    return (size == 8 ? std::uint64_t{2} : size - 1) << 2;
}

} // namespace

void GuestDebug::set(const DebugControl& control) {
    control_ = control;
    passing_ = false;
    place_registers();
    told_ = false;
}

// Watches come first, since nothing else finds an access. A watch that is not aligned takes several
// registers.
void GuestDebug::place_registers() {
    registers_.clear();
    for (const DebugControl::Watch& watch : control_.watches) {
        std::uint64_t address = watch.address;
        const std::uint64_t end = address + watch.size;
        while (address != end && registers_.size() < register_count) {
            std::uint64_t size = 8;
            while (address % size != 0 || size > end - address) {
                size /= 2;
            }
            registers_.push_back({address, (watch.on_read ? on_access : on_write) | length_bits(size),
                                  DebugEvent::Kind::watch, !watch.on_read});
            address += size;
        }
    }
    const bool fit = registers_.size() + control_.breakpoints.size() <= register_count;
    for (const std::uint64_t address : control_.breakpoints) {
        if (fit) {
            registers_.push_back({address, on_execution, DebugEvent::Kind::breakpoint, false});
        }
    }
    steps_ = control_.single_step || !fit;
}

bool GuestDebug::has_breakpoint(std::uint64_t linear) const {
    return std::ranges::find(control_.breakpoints, linear) != control_.breakpoints.end();
}

void GuestDebug::begin(std::uint64_t linear) {
    if (has_breakpoint(linear)) {
        passing_ = true;
        told_ = false;
    }
}

std::optional<kvm_guest_debug> GuestDebug::request() {
    if (told_ && !stepping()) { // the kernel forgets a step with an instruction that it emulates
        return std::nullopt;
    }
    told_ = true;
    kvm_guest_debug debug{};
    if (stepping() || !registers_.empty()) {
        debug.control = KVM_GUESTDBG_ENABLE;
    }
    if (stepping()) {
        debug.control |= KVM_GUESTDBG_SINGLESTEP;
    }
    if (!registers_.empty()) {
        debug.control |= KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[7] = x86::dr7::fixed | exact;
    }
    for (std::size_t i = 0; i < registers_.size(); ++i) {
        if (passing_ && registers_[i].kind == DebugEvent::Kind::breakpoint) {
            continue;
        }
        debug.arch.debugreg[i] = registers_[i].address;
        debug.arch.debugreg[7] |= std::uint64_t{2} << (2 * i) | registers_[i].control << (16 + 4 * i);
    }
    return debug;
}

bool GuestDebug::stopped(const kvm_debug_exit_arch& exit) {
    for (std::size_t i = 0; i < registers_.size(); ++i) {
        if ((exit.dr6 >> i) & 1) {
            const Register& hit = registers_[i];
            event_ = {hit.kind, hit.address, hit.write};
            return true;
        }
    }
    return stepped(exit.pc);
}

bool GuestDebug::stepped(std::uint64_t linear) {
    if (passing_) {
        passing_ = false;
        told_ = false;
    }
    if (control_.single_step) {
        event_ = {DebugEvent::Kind::step, linear, false};
        return true;
    }
    if (has_breakpoint(linear)) {
        event_ = {DebugEvent::Kind::breakpoint, linear, false};
        return true;
    }
    return false;
}

} // namespace strata::cpu::kvm
