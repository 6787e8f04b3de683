// Runs a case, without a machine: does it still differ?
#pragma once

#include "cpu/lockstep/case.hpp"
#include "cpu/lockstep/instruction_at.hpp"
#include "cpu/lockstep/leader.hpp"

#include <optional>
#include <string>
#include <vector>

namespace strata::cpu::lockstep {

struct Difference {
    std::string report; // what differs, and both states
    Case found{};       // begins where both were last alike
};

// `given` on the one that leads and on the interpreter. Empty: they do the same.
[[nodiscard]] Result<std::optional<Difference>> try_case(const Case& given, const MakeLeader& make_leader,
                                                         const Pace& pace);

// The first instructions of a case as the interpreter runs them, at most so many.
[[nodiscard]] Result<std::vector<Instruction>> instructions_of(const Case& given, std::size_t most);

// The same case, but beginning so many instructions later. None: they ask for something from outside, or the
// processor halts.
[[nodiscard]] Result<std::optional<Case>> begin_later(const Case& given, std::size_t instructions);

} // namespace strata::cpu::lockstep
