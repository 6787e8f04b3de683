// The memory image of the floating-point state that FXSAVE and XSAVE share: where things are, and how they
// get there. SDM volume 1 sections 10.5.1 and 13.4.
#pragma once

#include "base/bytes.hpp"
#include "cpu/x86/x87.hpp"

#include <cstdint>

namespace strata::cpu::x86::xsave_area {

// State components: bits of XCR0, XSTATE_BV, XCOMP_BV.
inline constexpr std::uint64_t x87 = 1 << 0, sse = 1 << 1, avx = 1 << 2;
inline constexpr std::uint64_t compacted = std::uint64_t{1} << 63; // of XCOMP_BV

// A part of the area.
struct Extent {
    unsigned offset, size;
};

inline constexpr Extent x87_control{0, 24}, mxcsr_and_mask{24, 8}, x87_registers{32, 128},
    xmm_registers{160, 256};
inline constexpr Extent legacy{0, 512}, header{512, 64}, xstate_bv{512, 8}, xcomp_bv{520, 8},
    header_reserved{528, 48};
// With AVX as the only component behind the header, it is at this place in the standard and the compacted
// format.
inline constexpr Extent ymm_high_halves{576, 256};
inline constexpr unsigned size_without_avx = header.offset + header.size;
inline constexpr unsigned size = ymm_high_halves.offset + ymm_high_halves.size;

// Whether FIP and FDP have 64 bits, or 32 and a selector.
enum class Pointers : std::uint8_t { with_selectors, wide };

inline void put_x87(std::uint8_t* area, const FpState& fp, Pointers pointers) {
    store_le(area, fp.fcw);
    store_le(area + 2, fp.fsw);
    store_le(area + 4, std::uint16_t{fp.abridged_tag});
    store_le(area + 6, fp.fop);
    if (pointers == Pointers::wide) {
        store_le(area + 8, fp.fip);
        store_le(area + 16, fp.fdp);
    } else {
        store_le(area + 8, (fp.fip & 0xFFFF'FFFF) | std::uint64_t{fp.fcs} << 32);
        store_le(area + 16, (fp.fdp & 0xFFFF'FFFF) | std::uint64_t{fp.fds} << 32);
    }
    for (unsigned i = 0; i < 8; ++i) {
        std::uint8_t* to = area + x87_registers.offset + 16 * i;
        const Float80& value = fp.physical[(stack_top(fp) + i) & 7];
        store_le(to, value.significand);
        store_le(to + 8, std::uint64_t{value.sign_exponent});
    }
}

inline void take_x87(const std::uint8_t* area, FpState& fp, Pointers pointers) {
    fp.fcw = static_cast<std::uint16_t>((load_le<std::uint16_t>(area) & fcw::writable) | fcw::always_set);
    fp.fsw = load_le<std::uint16_t>(area + 2);
    fp.abridged_tag = area[4];
    fp.fop = load_le<std::uint16_t>(area + 6) & fop_bits;
    const auto fip = load_le<std::uint64_t>(area + 8), fdp = load_le<std::uint64_t>(area + 16);
    const bool wide = pointers == Pointers::wide;
    fp.fip = wide ? fip : fip & 0xFFFF'FFFF;
    fp.fdp = wide ? fdp : fdp & 0xFFFF'FFFF;
    fp.fcs = wide ? 0 : static_cast<std::uint16_t>(fip >> 32);
    fp.fds = wide ? 0 : static_cast<std::uint16_t>(fdp >> 32);
    for (unsigned i = 0; i < 8; ++i) {
        const std::uint8_t* from = area + x87_registers.offset + 16 * i;
        fp.physical[(stack_top(fp) + i) & 7] = {load_le<std::uint64_t>(from),
                                                load_le<std::uint16_t>(from + 8)};
    }
    update_exception_summary(fp);
}

// Two quadwords of each of the first `count` vector registers, from lane `first_lane`: 0 for XMM, 2 for the
// upper halves of YMM.
inline void put_lanes(std::uint8_t* to, const FpState& fp, unsigned first_lane, unsigned count) {
    for (unsigned i = 0; i < count; ++i, to += 16) {
        store_le(to, fp.ymm[i].lanes[first_lane]);
        store_le(to + 8, fp.ymm[i].lanes[first_lane + 1]);
    }
}

inline void take_lanes(const std::uint8_t* from, FpState& fp, unsigned first_lane, unsigned count) {
    for (unsigned i = 0; i < count; ++i, from += 16) {
        fp.ymm[i].lanes[first_lane] = load_le<std::uint64_t>(from);
        fp.ymm[i].lanes[first_lane + 1] = load_le<std::uint64_t>(from + 8);
    }
}

} // namespace strata::cpu::x86::xsave_area
