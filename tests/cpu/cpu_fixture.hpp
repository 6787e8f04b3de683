// A processor without a machine: memory, a bus that records, and code given as bytes, run until HLT.
#pragma once

#include "cpu/engine.hpp"
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/shared.hpp"
#include "memory/guest_memory.hpp"

#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::cpu::testing {

// Answers ports from a table, memory-mapped reads and MSRs from tables, and records writes.
class FakeBus : public Bus {
public:
    struct Write {
        std::uint64_t address;
        unsigned size;
        std::uint64_t value;
        bool operator==(const Write&) const = default;
    };

    std::map<std::uint16_t, std::uint32_t> ports;
    std::map<std::uint64_t, std::uint64_t> mmio; // reads; others give all ones
    std::vector<Write> port_writes, mmio_writes;
    std::function<void()> on_port_write = [] {};
    std::optional<std::uint8_t> interrupt;
    std::map<std::uint32_t, std::uint64_t> msrs;
    std::uint8_t priority = 0;
    unsigned fp_errors = 0;

    std::uint32_t read_port(std::uint16_t port, unsigned) override {
        const auto found = ports.find(port);
        return found == ports.end() ? ~0U : found->second;
    }

    void write_port(std::uint16_t port, unsigned size, std::uint32_t value) override {
        port_writes.push_back({port, size, value});
        on_port_write();
    }

    std::uint64_t read_mmio(memory::GuestPhysical address, unsigned) override {
        const auto found = mmio.find(address);
        return found == mmio.end() ? ~std::uint64_t{0} : found->second;
    }

    void write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) override {
        mmio_writes.push_back({address, size, value});
    }

    std::optional<std::uint8_t> acknowledge_interrupt() override { return std::exchange(interrupt, {}); }

    std::optional<std::uint64_t> read_msr(std::uint32_t index) override {
        const auto found = msrs.find(index);
        return found == msrs.end() ? std::nullopt : std::optional(found->second);
    }

    bool write_msr(std::uint32_t index, std::uint64_t value) override {
        const auto found = msrs.find(index);
        if (found == msrs.end()) {
            return false;
        }
        found->second = value;
        return true;
    }

    std::uint8_t task_priority() override { return priority; }

    void set_task_priority(std::uint8_t value) override { priority = value; }

    void adjust_cpuid(std::uint32_t, std::uint32_t, std::span<std::uint32_t, 4>) override {}

    void floating_point_error() override { ++fp_errors; }
};

enum class Mode { real16, protected32, long64 };

// One processor in a mode with flat segments; long mode maps the first GiB to itself. Code stands at
// `code_at`, the stack grows down from `stack_top`; both, the page tables and the descriptor tables leave
// [data_at, 4 MiB) alone.
class TestCpu {
public:
    static constexpr std::uint64_t ram_size = 8 << 20;
    static constexpr std::uint64_t code_at = 0x1000, stack_top = 0x8000, gdt_at = 0x9000, idt_at = 0xA000,
                                   page_tables_at = 0x10000, data_at = 0x20000;

    explicit TestCpu(Mode mode, std::string_view model = "max");

    // Puts code at code_at (or elsewhere), appends HLT, runs from there until HLT. With an Exit other than
    // halt the test fails.
    void run(std::initializer_list<int> code, std::uint64_t at = code_at);
    void run(std::span<const std::uint8_t> code, std::uint64_t at = code_at);

    // Runs on from where the processor is.
    Exit resume() { return cpu->run(); }

    template <class T>
    [[nodiscard]] T read(std::uint64_t physical) const {
        T value{};
        EXPECT_TRUE(memory->read(physical, &value, sizeof value));
        return value;
    }

    template <class T>
    void write(std::uint64_t physical, T value) {
        EXPECT_TRUE(memory->write(physical, &value, sizeof value));
    }

    void write_bytes(std::uint64_t physical, std::span<const std::uint8_t> bytes) {
        EXPECT_TRUE(memory->write(physical, bytes.data(), bytes.size()));
    }

    // Makes exception `vector` stop at HLT at handler_at(vector) (protected and long mode); see
    // stopped_in_handler().
    void catch_exceptions();

    [[nodiscard]] static std::uint64_t handler_at(unsigned vector) { return 0xB000 + vector * 16; }

    // The vector whose handler the processor halted in, if it did; and the error code and RIP pushed for it.
    [[nodiscard]] std::optional<unsigned> caught() const;

    [[nodiscard]] std::uint64_t& operator[](x86::Register number) { return cpu->regs[number]; }

    Clock clock;
    FakeBus bus;
    std::unique_ptr<memory::GuestMemory> memory;
    std::unique_ptr<interpreter::Shared> shared;
    std::unique_ptr<interpreter::Cpu> cpu;

private:
    void enter(Mode mode);
    Mode mode_;
};

} // namespace strata::cpu::testing
