#include "fp_image.hpp"

#include "base/bytes.hpp"

namespace strata::oracle {

namespace {

unsigned physical_register(std::uint16_t fsw, unsigned st) { return ((fsw >> 11) + st) & 7; }

} // namespace

cpu::x86::FpState to_fp_state(const XsaveArea& area) {
    cpu::x86::FpState state{};
    state.fcw = area.fcw;
    state.fsw = area.fsw;
    state.abridged_tag = area.tags;
    state.fop = area.fop;
    state.fip = area.fip;
    state.fdp = area.fdp;
    state.mxcsr = area.mxcsr;
    for (unsigned i = 0; i < 8; ++i) {
        state.physical[physical_register(area.fsw, i)] = {load_le<std::uint64_t>(area.st[i].data()),
                                                          load_le<std::uint16_t>(area.st[i].data() + 8)};
    }
    for (unsigned i = 0; i < 16; ++i) {
        state.ymm[i].lanes = {area.xmm[i][0], area.xmm[i][1], area.ymm_high[i][0], area.ymm_high[i][1]};
    }
    return state;
}

XsaveArea to_xsave_area(const cpu::x86::FpState& state) {
    XsaveArea area{};
    area.fcw = state.fcw;
    area.fsw = state.fsw;
    area.tags = state.abridged_tag;
    area.fop = state.fop;
    area.fip = state.fip;
    area.fdp = state.fdp;
    area.mxcsr = state.mxcsr;
    for (unsigned i = 0; i < 8; ++i) {
        const auto& from = state.physical[physical_register(state.fsw, i)];
        store_le(area.st[i].data(), from.significand);
        store_le(area.st[i].data() + 8, from.sign_exponent);
    }
    for (unsigned i = 0; i < 16; ++i) {
        area.xmm[i] = {state.ymm[i].lanes[0], state.ymm[i].lanes[1]};
        area.ymm_high[i] = {state.ymm[i].lanes[2], state.ymm[i].lanes[3]};
    }
    return area;
}

} // namespace strata::oracle
