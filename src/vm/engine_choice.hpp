// Which engine a machine gets, and what "auto" passes over on the way.
#pragma once

#include "cpu/engine.hpp"

#include <string>

namespace strata::vm {

struct EngineChoice {
    std::unique_ptr<cpu::Engine> engine;
    cpu::x86::Model model;   // as the engine gives it
    std::string passed_over; // a line for the user: which better engine "auto" could not take, and why
};

// `name` may be "auto": the best that can run such vCPUs on this host.
[[nodiscard]] Result<EngineChoice> choose_engine(std::string_view name, memory::GuestMemory& memory,
                                                 const Clock& clock, const cpu::VcpuConfig& config);

} // namespace strata::vm
