// Reset and start-up, as the architecture has them.
#include "cpu/x86/reset.hpp"

#include "cpu/interpreter/cpu.hpp"

namespace strata::cpu::interpreter {

void Cpu::reset() {
    auto after = state();
    x86::reset(after, model(), config_.id == 0);
    set_state(after);
}

void Cpu::init() {
    auto after = state();
    x86::init(after, model(), config_.id == 0);
    set_state(after);
}

void Cpu::take_startup() {
    auto after = state();
    x86::start_up(after, signals_.startup_vector.load());
    set_state(after);
}

} // namespace strata::cpu::interpreter
