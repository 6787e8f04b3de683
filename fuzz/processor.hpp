// A processor of any engine with nothing but memory around it, for fuzzing: started as an input says, run
// step by step or freely, and looked at afterwards. What must hold whatever the guest does is checked here.
#pragma once

#include "base/clock.hpp"
#include "cpu/engine.hpp"
#include "processor_start.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace strata::fuzz {

// Answers everything with what the address says, and remembers all that was asked.
class NoisyBus final : public cpu::Bus {
public:
    void reset() { record_ = 0; }

    // Of all calls so far, in order.
    [[nodiscard]] std::uint64_t record() const { return record_; }

    std::uint32_t read_port(std::uint16_t port, unsigned size) override;
    void write_port(std::uint16_t port, unsigned size, std::uint32_t value) override;
    std::uint64_t read_mmio(memory::GuestPhysical address, unsigned size) override;
    void write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) override;
    std::optional<std::uint8_t> acknowledge_interrupt() override;
    std::optional<std::uint64_t> read_msr(std::uint32_t index) override;
    bool write_msr(std::uint32_t index, std::uint64_t value) override;
    std::uint8_t task_priority() override;
    void set_task_priority(std::uint8_t priority) override;
    void adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                      std::span<std::uint32_t, 4> registers) override;
    void floating_point_error() override;

    cpu::Signals* signals = nullptr; // of the processor: acknowledging takes the request away

private:
    std::uint64_t note(std::uint64_t what, std::uint64_t where, std::uint64_t value);

    std::uint64_t record_ = 0;
    std::uint8_t priority_ = 0;
};

// Where a run came to.
struct Ending {
    cpu::Exit exit{};
    cpu::x86::State state{};
    std::uint64_t bus_record = 0;

    // It came to HLT or shutdown by itself.
    [[nodiscard]] bool final() const { return exit == cpu::Exit::halt || exit == cpu::Exit::shutdown; }
};

class Processor {
public:
    explicit Processor(std::string_view engine);
    ~Processor();
    Processor(const Processor&) = delete;
    Processor& operator=(const Processor&) = delete;

    void start(const ProcessorStart& start);

    static constexpr std::chrono::milliseconds usual_time{50}; // of the processor's

    // Runs until it stops by itself, or for much longer than it should take: then `exit` is `requested`.
    Ending run(std::chrono::milliseconds most = usual_time);
    // One instruction and what comes with it: Exit::debug if there is more to do.
    cpu::Exit step();

    // Whether since the start a step wrote over the very instruction that it goes on to repeat. A processor
    // may take notice at the next repetition or when all are done: stepped it does at once, run freely it
    // need not.
    [[nodiscard]] bool repetition_rewritten() const { return repetition_rewritten_; }

    // Whether since the start a step's code reached beyond RAM: how often a device is asked for the same
    // bytes is not defined.
    [[nodiscard]] bool fetched_from_device() const { return fetched_from_device_; }

    // Whether page tables are others than at the start, but for their accessed and dirty bits: the TLB may
    // know the old ones or not.
    [[nodiscard]] bool tables_changed() const;

    // What RAM holds at CS:RIP, 15 bytes or fewer.
    [[nodiscard]] std::vector<std::uint8_t> next_code() const;

    [[nodiscard]] cpu::Vcpu& vcpu() { return *vcpu_; }

    [[nodiscard]] memory::GuestMemory& guest_memory() { return *memory_; }

    [[nodiscard]] const std::byte* memory() const { return memory_->host(0, low_ram); }

    [[nodiscard]] Ending ending(cpu::Exit exit) const;
    // Aborts if the processor is in a state that no processor has.
    void check_state() const;

private:
    void guard_memory();
    void restore_memory(const ProcessorStart& start);
    cpu::Exit run_watched(std::chrono::milliseconds most);
    void watch(const std::stop_token& stop);

    Clock clock_{0};
    NoisyBus bus_;
    std::unique_ptr<memory::GuestMemory> memory_;
    std::unique_ptr<cpu::Engine> engine_;
    std::unique_ptr<cpu::Vcpu> vcpu_;
    std::vector<std::byte> tables_;                 // as they were at the start
    const std::vector<std::byte>* world_ = nullptr; // that memory began as
    bool stepping_ = false;
    bool repetition_rewritten_ = false;
    bool fetched_from_device_ = false;
    std::atomic<std::uint64_t> runs_{0}; // odd while one is under way
    std::jthread watchdog_;
};

// What of two endings is not compared.
struct Tolerance {
    std::uint64_t flags = 0; // bits of RFLAGS
    bool x87_pointers = false;
    bool bus_record = false;
};

// What differs first, empty if nothing does.
[[nodiscard]] std::string difference(const Ending& a, const Ending& b, const Tolerance& tolerance);
// Of all RAM.
[[nodiscard]] std::string memory_difference(const std::byte* a, const std::byte* b);

[[noreturn]] void broken(const std::string& what);

// All features but those whose results are never the same twice.
[[nodiscard]] const cpu::x86::Model& fuzzed_model();

} // namespace strata::fuzz
