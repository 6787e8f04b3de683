// What engines have that run guest code where no software looks on: beside the parts of Vcpu and Engine that
// all have, these. Whoever uses them asks by the functions below, which know what the others do instead.
#pragma once

#include "cpu/engine.hpp"
#include "cpu/x86/local_apic_state.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::cpu {

// How often something happened; the name lives as long as the program.
using Count = std::pair<std::string_view, std::uint64_t>;

// A message-signalled interrupt: what is written where. SDM volume 3 section 10.11.
struct InterruptMessage {
    std::uint64_t address;
    std::uint32_t data;
};

// The interrupt messages of a machine whose vCPUs have local APICs of their own.
class LocalApics {
public:
    virtual ~LocalApics() = default;
    // Any thread.
    virtual void send(const InterruptMessage& message) = 0;
    // Vectors of these messages are level-triggered: on_end_of_interrupt() is told of their end. Any thread.
    virtual void set_level_messages(std::span<const InterruptMessage> messages) = 0;
    // Called on a vCPU's thread. Set before vCPUs run.
    virtual void on_end_of_interrupt(std::function<void(std::uint8_t vector)> callback) = 0;
};

// Writes of the guest that are carried out later, by others: they signal an eventfd, and the vCPU goes on.
class WriteEvents {
public:
    virtual ~WriteEvents() = default;
    // Writes of any size at this address; false: they stay with the vCPU. Any thread.
    virtual bool add(memory::GuestPhysical address, int eventfd) = 0;
    virtual void remove(memory::GuestPhysical address, int eventfd) = 0;
};

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
    // Between runs, of a vCPU with a local APIC of its own.
    [[nodiscard]] virtual x86::LocalApicState local_apic() const = 0;
    virtual void set_local_apic(const x86::LocalApicState& state) = 0;
    // How often it came out of the guest, by reason. Any thread.
    [[nodiscard]] virtual std::vector<Count> exits() const = 0;
};

class AssistedEngine {
public:
    virtual ~AssistedEngine() = default;
    // The CPU model that such vCPUs have: the wanted one or, for the model "max", as much of it as the host
    // has. The error names what of the configuration the host can't give.
    [[nodiscard]] virtual Result<x86::Model> model_for(const VcpuConfig& config) const = 0;
    // Null: the vCPUs leave interrupts to the machine's local APICs.
    [[nodiscard]] virtual LocalApics* local_apics() = 0;
    [[nodiscard]] virtual WriteEvents& write_events() = 0;
    // Before the vCPUs run again: the machine's clock went on after a pause.
    virtual void clock_resumed() = 0;
    // Marks in the machine's memory which pages vCPUs wrote: before GuestMemory::take_dirty().
    virtual void collect_dirty() = 0;
};

// Sets signals of a vCPU, and sees to it that it notices. Any thread.
void signal(Vcpu& vcpu, std::uint32_t bits);
[[nodiscard]] std::optional<Error> failure(const Vcpu& vcpu);
// After a failure: what shows it again (FailingVcpu::evidence()); empty: there is nothing such.
[[nodiscard]] std::string evidence(const Vcpu& vcpu);
[[nodiscard]] std::int64_t tsc_offset(const Vcpu& vcpu);
[[nodiscard]] bool state_is_whole(const Vcpu& vcpu);
[[nodiscard]] std::vector<Count> exits(const Vcpu& vcpu);
[[nodiscard]] LocalApics* local_apics(Engine& engine);
[[nodiscard]] WriteEvents* write_events(Engine& engine);
// Of a vCPU whose engine has local APICs.
[[nodiscard]] x86::LocalApicState local_apic(const Vcpu& vcpu);
void set_local_apic(Vcpu& vcpu, const x86::LocalApicState& state);
[[nodiscard]] Result<x86::Model> model_for(const Engine& engine, const VcpuConfig& config);
void clock_resumed(Engine& engine);
void collect_dirty(Engine& engine);

// The rate at which the TSC of a new machine best counts here: the host's, where hardware may run the machine
// now or later, since few hosts can make theirs look different; else 1 GHz.
[[nodiscard]] std::uint64_t preferred_tsc_hz();

} // namespace strata::cpu
