// Whose MXCSR the host's SSE unit holds.
//
// Between the start and the end of Cpu::run() the host's MXCSR belongs to the guest: it has the guest's
// rounding mode, DAZ and FTZ with all exceptions masked, and the flags that guest instructions raise gather
// in it. So an SSE instruction costs the host's own instruction and nothing else; the guest's MXCSR is
// brought up to date when something reads it (Cpu::mxcsr()). The price is a rule: code on a vCPU's thread
// that does floating-point arithmetic of its own, or calls out to code that may (devices), does it inside a
// HostEnvironment.
#pragma once

#include "cpu/x86/mxcsr.hpp"

#include <cstdint>

namespace strata::cpu::x86::sse_environment {

#if defined(__x86_64__)

[[nodiscard]] inline std::uint32_t read() {
    std::uint32_t value = 0; // NOLINT(misc-const-correctness): the instruction writes it
    asm volatile("stmxcsr %0" : "=m"(value) : : "memory");
    return value;
}

inline void write(std::uint32_t value) { asm volatile("ldmxcsr %0" : : "m"(value) : "memory"); }

#else
#error "SSE arithmetic needs a unit for this host: see fp_unit_sse.hpp"
#endif

// The flags raised since load().
[[nodiscard]] inline std::uint32_t raised() { return read() & mxcsr::flags; }

// Raises flags as an instruction would.
inline void raise(std::uint32_t flags) {
    const std::uint32_t now = read();
    if ((flags & ~now) != 0) {
        write(now | flags);
    }
}

// Makes the unit compute as `guest_mxcsr` says, with no flag raised.
inline void load(std::uint32_t guest_mxcsr) {
    constexpr std::uint32_t modes = mxcsr::rounding | mxcsr::denormals_are_zero | mxcsr::flush_to_zero;
    write((guest_mxcsr & modes) | mxcsr::masks);
}

} // namespace strata::cpu::x86::sse_environment

namespace strata::cpu::x86 {

// For its lifetime the unit computes for the guest whose MXCSR is given; then that has the flags raised.
class GuestEnvironment {
public:
    explicit GuestEnvironment(std::uint32_t& guest_mxcsr)
        : host_(sse_environment::read()), guest_(guest_mxcsr) {
        sse_environment::load(guest_);
    }

    ~GuestEnvironment() {
        guest_ |= sse_environment::raised();
        sse_environment::write(host_);
    }

    GuestEnvironment(const GuestEnvironment&) = delete;
    GuestEnvironment& operator=(const GuestEnvironment&) = delete;

private:
    std::uint32_t host_;
    std::uint32_t& guest_;
};

// For its lifetime, within a GuestEnvironment, the unit computes as C++ expects.
class HostEnvironment {
public:
    HostEnvironment() : guest_(sse_environment::read()) { sse_environment::write(mxcsr::reset_value); }

    ~HostEnvironment() { sse_environment::write(guest_); }

    HostEnvironment(const HostEnvironment&) = delete;
    HostEnvironment& operator=(const HostEnvironment&) = delete;

private:
    std::uint32_t guest_;
};

} // namespace strata::cpu::x86
