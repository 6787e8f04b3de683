// The state after RESET#, INIT# and a start-up IPI. SDM volume 3 section 9.1.1, table 9-1; section 8.4 for
// SIPI.
#pragma once

#include "cpu/x86/model.hpp"
#include "cpu/x86/state.hpp"

namespace strata::cpu::x86 {

// `bootstrap`: the processor that runs from F000:FFF0; others wait for SIPI. The TSC's offset stays.
void reset(State& state, const Model& model, bool bootstrap);
// Caches, model-specific and floating-point registers stay.
void init(State& state, const Model& model, bool bootstrap);
// What a processor that waits for it does at SIPI.
void start_up(State& state, std::uint8_t vector);

} // namespace strata::cpu::x86
