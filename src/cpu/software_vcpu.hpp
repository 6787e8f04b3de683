// What engines have, beside the parts of Vcpu and Engine that all have, that run guest code by software
// alone. Whoever uses it asks by the functions in assistance.hpp.
#pragma once

#include "cpu/engine.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::cpu {

// What was counted, by name, which lives as long as the program.
using Counts = std::vector<std::pair<std::string_view, std::uint64_t>>;

// A vCPU that counts what it does.
class CountingVcpu {
public:
    virtual ~CountingVcpu() = default;
    // Any thread.
    [[nodiscard]] virtual Counts counts() const = 0;
};

// A vCPU that may come to where its engine cannot go on.
class FailingVcpu {
public:
    virtual ~FailingVcpu() = default;
    // After Exit::shutdown: why not, if that is not the guest's own shutdown.
    [[nodiscard]] virtual std::optional<Error> failure() const = 0;

    // What shows the failure again, as a file for `strata debug reduce`; empty: there is nothing such.
    [[nodiscard]] virtual std::string evidence() const { return {}; }
};

// An engine whose vCPUs cannot be of every model.
class ModellingEngine {
public:
    virtual ~ModellingEngine() = default;
    // As much of the wanted model as is possible. The error names what of the configuration the engine can't
    // give.
    [[nodiscard]] virtual Result<x86::Model> model_for(const VcpuConfig& config) const = 0;
};

} // namespace strata::cpu
