// The processor that leads: the interpreter's, with something that runs its blocks otherwise.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/shared.hpp"

#include <cstdint>
#include <functional>
#include <memory>

namespace strata::cpu::lockstep {

class Leader {
public:
    virtual ~Leader() = default;
    [[nodiscard]] virtual interpreter::Cpu& cpu() = 0;
};

struct Pace {
    // How often a block is met before it is translated. More is translated, and so compared, than is worth it
    // for speed.
    std::uint32_t runs_before_translation = 30;
    // Both are compared wherever the leader can be stopped; else about each millisecond.
    bool briefly = false;
};

using MakeLeader = std::function<Result<std::unique_ptr<Leader>>(
    interpreter::Shared& shared, const VcpuConfig& config, Bus& bus, const Pace& pace)>;

// The translator.
[[nodiscard]] Result<std::unique_ptr<Leader>>
make_translating_leader(interpreter::Shared& shared, const VcpuConfig& config, Bus& bus, const Pace& pace);

} // namespace strata::cpu::lockstep
