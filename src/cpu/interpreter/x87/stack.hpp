// The x87 register stack and the status word as instructions change them. SDM volume 1 sections 8.1.2
// to 8.1.7, 8.5.1.1 (stack faults).
#pragma once

#include "cpu/x86/fp_unit_x87.hpp"
#include "cpu/x86/x87.hpp"

namespace strata::cpu::interpreter::x87 {

namespace fp_exception = x86::fp_exception;
namespace fsw = x86::fsw;
namespace fcw = x86::fcw;
namespace fp_unit = x86::fp_unit;
using x86::Float80, x86::FpState, x86::Float32, x86::Float64, fp_unit::Status;

// ---- registers and tags ----

[[nodiscard]] inline unsigned physical_index(const FpState& fp, unsigned i) {
    return (x86::stack_top(fp) + i) & 7;
}

[[nodiscard]] inline Float80& st(FpState& fp, unsigned i) { return fp.physical[physical_index(fp, i)]; }

[[nodiscard]] inline bool is_empty(const FpState& fp, unsigned i) {
    return ((fp.abridged_tag >> physical_index(fp, i)) & 1) == 0;
}

inline void mark_occupied(FpState& fp, unsigned i) {
    fp.abridged_tag = static_cast<std::uint8_t>(fp.abridged_tag | (1U << physical_index(fp, i)));
}

inline void mark_empty(FpState& fp, unsigned i) {
    fp.abridged_tag = static_cast<std::uint8_t>(fp.abridged_tag & ~(1U << physical_index(fp, i)));
}

inline void rotate(FpState& fp, unsigned by) { x86::set_stack_top(fp, x86::stack_top(fp) + by); }

inline void pop(FpState& fp) {
    mark_empty(fp, 0);
    rotate(fp, 1);
}

// Member by member: a copy as one 16-byte block would wait for the two stores of an earlier 10-byte one.
inline void copy(Float80& to, const Float80& from) {
    to.significand = from.significand;
    to.sign_exponent = from.sign_exponent;
}

inline void set_st(FpState& fp, unsigned i, const Float80& value) {
    copy(st(fp, i), value);
    mark_occupied(fp, i);
}

// The caller has seen that ST(7) is empty, or answers an overflow.
inline void push(FpState& fp, const Float80& value) {
    rotate(fp, 7);
    set_st(fp, 0, value);
}

// ---- status ----

[[nodiscard]] inline fp_unit::Mode mode(const FpState& fp) { return {.control = fp.fcw, .raised = fp.fsw}; }

// The exceptions of `status` that the control word does not mask.
[[nodiscard]] inline unsigned unmasked(const FpState& fp, Status status) {
    return status & ~static_cast<unsigned>(fp.fcw) & fp_exception::all;
}

// An unmasked exception found before the operation: no result, no pop.
[[nodiscard]] inline bool is_abandoned(const FpState& fp, Status status) {
    return unmasked(fp, status) & fp_exception::before_operation;
}

// Takes an operation's outcome into the status word: exceptions gather, the condition codes of `conditions`
// become those of `status`.
inline void commit(FpState& fp, Status status, std::uint16_t conditions = fsw::c1) {
    fp.fsw = static_cast<std::uint16_t>((fp.fsw & ~conditions) | status);
    if (unmasked(fp, status)) [[unlikely]] {
        fp.fsw |= fsw::es | fsw::b;
    }
}

inline void clear_c1(FpState& fp) { fp.fsw = static_cast<std::uint16_t>(fp.fsw & ~fsw::c1); }

inline void set_control_word(FpState& fp, unsigned word) {
    fp.fcw = static_cast<std::uint16_t>((word & fcw::writable) | fcw::always_set);
    x86::update_exception_summary(fp);
}

// Stack faults: C1 tells the direction; `cleared` are the condition codes that become 0. True if masked: then
// the caller makes the indefinite result.
enum class StackFault : std::uint8_t { underflow, overflow };

[[nodiscard]] inline bool stack_fault(FpState& fp, StackFault fault, std::uint16_t cleared = fsw::c1) {
    constexpr std::uint16_t flags = fp_exception::ie | fsw::sf;
    commit(fp, fault == StackFault::overflow ? flags | fsw::c1 : flags, cleared);
    return fp.fcw & fp_exception::ie;
}

} // namespace strata::cpu::interpreter::x87
