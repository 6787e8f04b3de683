// What engines have that run guest code where no software looks on: beside the parts of Vcpu and Engine that
// all have, these. Whoever uses them asks by the functions below, which know what the others do instead.
#pragma once

#include "cpu/engine.hpp"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::cpu {

// How often something happened; the name lives as long as the program.
using Count = std::pair<std::string_view, std::uint64_t>;

class AssistedVcpu {
public:
    virtual ~AssistedVcpu() = default;
    // Signals were set: comes out of the guest to look at them. Any thread.
    virtual void wake() = 0;
    // After Exit::shutdown: why the host cannot go on with this vCPU, if it is not the guest's own shutdown.
    [[nodiscard]] virtual std::optional<Error> failure() const = 0;
    // By how many ticks the guest's TSC is ahead of the machine's clock. Between runs, and during calls of
    // the Bus.
    [[nodiscard]] virtual std::int64_t tsc_offset() const = 0;
    // Between runs: nothing is on its way to the guest that state() could not tell.
    [[nodiscard]] virtual bool state_is_whole() const = 0;
    // How often it came out of the guest, by reason. Any thread.
    [[nodiscard]] virtual std::vector<Count> exits() const = 0;
};

class AssistedEngine {
public:
    virtual ~AssistedEngine() = default;
    // The CPU model that such vCPUs have: the wanted one or, for the model "max", as much of it as the host
    // has. The error names what of the configuration the host can't give.
    [[nodiscard]] virtual Result<x86::Model> model_for(const VcpuConfig& config) const = 0;
    // Before the vCPUs run again: the machine's clock went on after a pause.
    virtual void clock_resumed() = 0;
    // Marks in the machine's memory which pages vCPUs wrote: before GuestMemory::take_dirty().
    virtual void collect_dirty() = 0;
};

// Sets signals of a vCPU, and sees to it that it notices. Any thread.
void signal(Vcpu& vcpu, std::uint32_t bits);
[[nodiscard]] std::optional<Error> failure(const Vcpu& vcpu);
[[nodiscard]] std::int64_t tsc_offset(const Vcpu& vcpu);
[[nodiscard]] bool state_is_whole(const Vcpu& vcpu);
[[nodiscard]] std::vector<Count> exits(const Vcpu& vcpu);
[[nodiscard]] Result<x86::Model> model_for(const Engine& engine, const VcpuConfig& config);
void clock_resumed(Engine& engine);
void collect_dirty(Engine& engine);

// The rate at which the TSC of a new machine best counts here: the host's, where hardware may run the machine
// now or later, since few hosts can make theirs look different; else 1 GHz.
[[nodiscard]] std::uint64_t preferred_tsc_hz();

} // namespace strata::cpu
