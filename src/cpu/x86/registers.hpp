// Bits of the control registers, flags, EFER and page-table entries. SDM volume 3 sections 2.3, 2.5, 4.1;
// APM 3.1.
#pragma once

#include <cstdint>

namespace strata::cpu::x86 {

namespace flag {
inline constexpr std::uint64_t cf = 1 << 0, pf = 1 << 2, af = 1 << 4, zf = 1 << 6, sf = 1 << 7, tf = 1 << 8,
                               if_ = 1 << 9, df = 1 << 10, of = 1 << 11, iopl = 3 << 12, nt = 1 << 14,
                               rf = 1 << 16, vm = 1 << 17, ac = 1 << 18, vif = 1 << 19, vip = 1 << 20,
                               id = 1 << 21;
inline constexpr std::uint64_t arithmetic = cf | pf | af | zf | sf | of;
inline constexpr std::uint64_t fixed = 1 << 1; // always set
} // namespace flag

namespace cr0 {
inline constexpr std::uint64_t pe = 1 << 0, mp = 1 << 1, em = 1 << 2, ts = 1 << 3, et = 1 << 4, ne = 1 << 5,
                               wp = 1 << 16, am = 1 << 18, nw = 1 << 29, cd = 1 << 30, pg = 1ULL << 31;
}

namespace cr4 {
inline constexpr std::uint64_t vme = 1 << 0, pvi = 1 << 1, tsd = 1 << 2, de = 1 << 3, pse = 1 << 4,
                               pae = 1 << 5, mce = 1 << 6, pge = 1 << 7, pce = 1 << 8, osfxsr = 1 << 9,
                               osxmmexcpt = 1 << 10, umip = 1 << 11, la57 = 1 << 12, fsgsbase = 1 << 16,
                               pcide = 1 << 17, osxsave = 1 << 18, smep = 1 << 20, smap = 1 << 21,
                               pke = 1 << 22;
}

namespace efer {
inline constexpr std::uint64_t sce = 1 << 0, lme = 1 << 8, lma = 1 << 10, nxe = 1 << 11, svme = 1 << 12,
                               ffxsr = 1 << 14;
}

namespace dr6 {
inline constexpr std::uint64_t breakpoints = 0xF, bd = 1 << 13, bs = 1 << 14, bt = 1 << 15;
inline constexpr std::uint64_t writable = breakpoints | bd | bs | bt;
inline constexpr std::uint64_t fixed = 0xFFFF'0FF0; // read as ones
} // namespace dr6

namespace dr7 {
inline constexpr std::uint64_t enables = 0xFF, local_enables = 0x155, gd = 1 << 13; // LE with the local ones
inline constexpr std::uint64_t writable = 0xFFFF'23FF;
inline constexpr std::uint64_t fixed = 1 << 10; // reads as one
} // namespace dr7

namespace pte {
inline constexpr std::uint64_t present = 1 << 0, writable = 1 << 1, user = 1 << 2, accessed = 1 << 5,
                               dirty = 1 << 6, large = 1 << 7, global = 1 << 8, no_execute = 1ULL << 63;
}

// Exception vectors. SDM volume 3 section 6.3.1.
enum class Vector : std::uint8_t {
    divide_error = 0,
    debug = 1,
    nmi = 2,
    breakpoint = 3,
    overflow = 4,
    bound_range = 5,
    invalid_opcode = 6,
    device_not_available = 7,
    double_fault = 8,
    coprocessor_segment_overrun = 9,
    invalid_tss = 10,
    segment_not_present = 11,
    stack_fault = 12,
    general_protection = 13,
    page_fault = 14,
    x87_fault = 16,
    alignment_check = 17,
    machine_check = 18,
    simd_fault = 19,
};

// Page-fault error code bits. SDM volume 3 section 4.7.
namespace page_fault {
inline constexpr std::uint32_t present = 1 << 0, write = 1 << 1, user = 1 << 2, reserved = 1 << 3,
                               fetch = 1 << 4;
}

} // namespace strata::cpu::x86
