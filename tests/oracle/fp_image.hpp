// Between the XSAVE area, in which the native processor gives and takes its registers, and the engines' form.
#pragma once

#include "cpu/x86/state.hpp"
#include "test_case.hpp"

namespace strata::oracle {

[[nodiscard]] cpu::x86::FpState to_fp_state(const XsaveArea& area);
[[nodiscard]] XsaveArea to_xsave_area(const cpu::x86::FpState& state);

} // namespace strata::oracle
