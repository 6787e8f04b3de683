// The seam between an engine and a machine: how a virtual CPU is run, by whatever means, and how it reaches
// what is outside itself. No engine knows a device; no device knows an engine.
#pragma once

#include "base/clock.hpp"
#include "base/error.hpp"
#include "cpu/instruction_time.hpp"
#include "cpu/x86/model.hpp"
#include "cpu/x86/state.hpp"
#include "memory/guest_memory.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace strata::cpu {

class TranslationCache;

// What others ask of a vCPU, from any thread. Engines look at pending() at least at every branch back and
// whenever interrupts become enabled.
class Signals {
public:
    enum Bit : std::uint32_t {
        interrupt = 1 << 0, // INTR is asserted: Bus::acknowledge_interrupt() has a vector. Level; the
                            // interrupt controller sets and clears it.
        nmi = 1 << 1,       // edge; the engine clears it when it takes it
        init = 1 << 2,      // edge
        startup = 1 << 3,   // edge: SIPI, with startup_vector
        leave = 1 << 4,     // run() returns Exit::requested; the engine clears it
        flush_tlb = 1 << 5, // host views of guest memory or the dirty log changed
        engine = 1 << 6,    // the engine's own business (code pages were written, ...)
        smi = 1 << 7,
    };

    void set(std::uint32_t bits) {
        if ((bits_.fetch_or(bits, std::memory_order_acq_rel) & bits) != bits) {
            bits_.notify_all();
        }
    }

    void clear(std::uint32_t bits) { bits_.fetch_and(~bits, std::memory_order_acq_rel); }

    [[nodiscard]] std::uint32_t pending() const { return bits_.load(std::memory_order_relaxed); }

    // Where pending() is, for engines that look at it without calling.
    [[nodiscard]] const std::atomic<std::uint32_t>& word() const { return bits_; }

    // Sleeps until one of `bits` is set.
    void wait_for(std::uint32_t bits) const {
        for (auto now = bits_.load(std::memory_order_acquire); (now & bits) == 0;
             now = bits_.load(std::memory_order_acquire)) {
            bits_.wait(now, std::memory_order_acquire);
        }
    }

    std::atomic<std::uint8_t> startup_vector{0}; // written before `startup` is set

private:
    std::atomic<std::uint32_t> bits_{0};
};

// What a vCPU reaches outside itself: ports, memory that is not RAM, its interrupt controller, and the MSRs
// that belong to the platform. Called on the vCPU's thread, in the middle of an instruction; the machine
// takes its device lock inside. (KVM's exits carry the same calls; its engine makes them from its run loop.)
class Bus {
public:
    virtual ~Bus() = default;

    // `size` is 1, 2 or 4. Ports that nobody answers read as all ones and ignore writes.
    virtual std::uint32_t read_port(std::uint16_t port, unsigned size) = 0;
    virtual void write_port(std::uint16_t port, unsigned size, std::uint32_t value) = 0;

    // `size` is 1, 2, 4 or 8; the access does not cross a page. What nobody answers reads as all ones.
    virtual std::uint64_t read_mmio(memory::GuestPhysical address, unsigned size) = 0;
    virtual void write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) = 0;

    // The vector that INTR delivers, taken from the controller (it becomes in service); none if the request
    // has gone. The caller has seen Signals::interrupt and IF = 1.
    virtual std::optional<std::uint8_t> acknowledge_interrupt() = 0;

    // MSRs of the platform: IA32_APIC_BASE, the x2APIC range, IA32_TSC_DEADLINE, paravirtual clocks. Empty or
    // false: no such MSR, or a value that it refuses; the engine raises #GP.
    virtual std::optional<std::uint64_t> read_msr(std::uint32_t index) = 0;
    virtual bool write_msr(std::uint32_t index, std::uint64_t value) = 0;

    // CR8: the task priority, 0 to 15.
    virtual std::uint8_t task_priority() = 0;
    virtual void set_task_priority(std::uint8_t priority) = 0;

    // CPUID bits that change with the platform's state: adjust the leaf's registers (eax, ebx, ecx, edx).
    virtual void adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                              std::span<std::uint32_t, 4> registers) = 0;

    // The reset of FERR#/IGNNE# times: an unmasked x87 exception with CR0.NE = 0.
    virtual void floating_point_error() = 0;
};

// Why run() came back.
enum class Exit {
    halt,      // HLT with nothing to do: wait for a signal, then run again
    wait_sipi, // waits for start-up (INIT state): likewise
    shutdown,  // triple fault: the machine is reset or stopped
    debug,     // a breakpoint, watchpoint or single step of the debugger: see Vcpu::debug_event()
    requested, // Signals::leave
};

// What a debugger wants of one vCPU. Addresses are linear. Independent of the guest's own DR0-DR7.
struct DebugControl {
    struct Watch {
        std::uint64_t address;
        std::uint64_t size;
        bool on_read;
        bool on_write;
    };

    bool single_step = false;                 // leave with Exit::debug after one instruction
    std::vector<std::uint64_t> breakpoints{}; // leave before the instruction at the address; the first one
                                              // that run() meets is passed
    std::vector<Watch> watches{};             // leave after the instruction that accessed
};

struct DebugEvent {
    enum class Kind { step, breakpoint, watch } kind = Kind::step;
    std::uint64_t address = 0; // of the breakpoint or of the watched access
    bool write = false;        // for a watch
};

// What --trace shows. Engines call these on the vCPU's thread only for what is switched on.
struct TraceOptions {
    bool instructions = false, exceptions = false, interrupts = false;

    [[nodiscard]] bool any() const { return instructions || exceptions || interrupts; }
};

// Receives one line of text per traced event.
class TraceSink {
public:
    virtual ~TraceSink() = default;
    virtual void trace(unsigned vcpu, std::string_view line) = 0;
};

struct VcpuConfig {
    unsigned id = 0;                      // also the initial APIC ID
    unsigned count = 1;                   // of the machine's vCPUs, for CPUID topology
    const x86::Model* model = nullptr;    // outlives the vCPU
    std::uint64_t tsc_hz = 1'000'000'000; // the TSC's rate over the machine's clock
    TraceOptions trace{};
    TraceSink* trace_sink = nullptr;
    InstructionTime* time = nullptr; // if the machine's clock moves by instructions
    // Where what is translated is kept for later machines; outlives the vCPU.
    TranslationCache* translations = nullptr;
};

// One virtual CPU. run() and the state's members are for one thread at a time; signals() is for any.
class Vcpu {
public:
    virtual ~Vcpu() = default;

    virtual Exit run() = 0;

    [[nodiscard]] virtual Signals& signals() = 0;

    // The whole architectural state, between runs.
    [[nodiscard]] virtual x86::State state() const = 0;
    virtual void set_state(const x86::State& state) = 0;
    // As RESET# leaves it; the boot processor runs from F000:FFF0, others wait for SIPI.
    virtual void reset() = 0;

    virtual void set_debug(const DebugControl& control) = 0;
    [[nodiscard]] virtual DebugEvent debug_event() const = 0;

    // Linear to guest-physical by the guest's current paging, without side effects or privilege checks.
    [[nodiscard]] virtual std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const = 0;

    // Instructions retired since creation (0 if the engine can't tell).
    [[nodiscard]] virtual std::uint64_t instructions_retired() const = 0;
};

// Makes the vCPUs of one machine and holds what they share.
class Engine {
public:
    virtual ~Engine() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    // `bus` outlives the vCPU.
    virtual Result<std::unique_ptr<Vcpu>> create_vcpu(const VcpuConfig& config, Bus& bus) = 0;
};

// The engines by name, best first. `available` is empty when the engine can run on this host, else says why
// not and what would enable it.
struct EngineInfo {
    std::string_view name;
    std::string_view description;
    std::string (*unavailable)();
    Result<std::unique_ptr<Engine>> (*create)(memory::GuestMemory& memory, const Clock& clock);
    bool counts;     // instructions, exactly: VcpuConfig::time
    bool translates; // and may have VcpuConfig::translations
};

[[nodiscard]] std::span<const EngineInfo> engines();
// Whether the engine of that name may have VcpuConfig::translations.
[[nodiscard]] bool translates(std::string_view name);
// `name` may be "auto": the first that is available.
[[nodiscard]] Result<std::unique_ptr<Engine>> create_engine(std::string_view name,
                                                            memory::GuestMemory& memory, const Clock& clock);

} // namespace strata::cpu
