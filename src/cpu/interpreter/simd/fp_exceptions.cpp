// Unmasked SIMD floating-point exceptions. SDM volume 1 sections 11.5.2 and 11.5.3, volume 3 section 2.5
// (OSXMMEXCPT).
#include "cpu/interpreter/simd/fp_exceptions.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

namespace mxcsr = x86::mxcsr;

constexpr std::uint32_t pre_computation = mxcsr::invalid | mxcsr::denormal | mxcsr::divide_by_zero;

[[noreturn]] void raise_simd_fault(Cpu& cpu) {
    if (!(cpu.system.cr4 & x86::cr4::osxmmexcpt)) {
        cpu.raise_ud();
    }
    cpu.raise(x86::Vector::simd_fault);
}

} // namespace

UnmaskedExceptions::UnmaskedExceptions(Cpu& cpu)
    : cpu_(cpu), unmasked_(~(cpu.fp.mxcsr >> mxcsr::mask_shift) & mxcsr::flags) {
    cpu_.fp.mxcsr = cpu_.mxcsr(); // the older flags
    // FTZ is the response to masked underflow only.
    const bool flush = !(unmasked_ & mxcsr::underflow);
    x86::sse_environment::load(flush ? cpu_.fp.mxcsr : cpu_.fp.mxcsr & ~mxcsr::flush_to_zero);
}

bool UnmaskedExceptions::needs_post_flags() const { return unmasked_ & (mxcsr::overflow | mxcsr::underflow); }

void UnmaskedExceptions::check(std::uint32_t post_flags) {
    const std::uint32_t raised = x86::sse_environment::raised();
    x86::sse_environment::load(cpu_.fp.mxcsr);
    // An unmasked pre-computation exception in any lane ends the instruction before it computes.
    const std::uint32_t pre = raised & pre_computation;
    cpu_.fp.mxcsr |= pre;
    if (pre & unmasked_) {
        raise_simd_fault(cpu_);
    }
    const std::uint32_t post = needs_post_flags() ? post_flags : raised & ~pre_computation;
    cpu_.fp.mxcsr |= post;
    if (post & unmasked_) {
        raise_simd_fault(cpu_);
    }
}

} // namespace strata::cpu::interpreter::simd
