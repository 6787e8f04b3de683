// Runs code on the translator, which has to leave what the interpreter leaves, which takes one instruction
// after the other.
#pragma once

#include "cpu/assistance.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/translator/vcpu.hpp"
#include "cpu_fixture.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <xbyak/xbyak.h>

namespace strata::cpu::translator {

using testing::TestCpu;

inline constexpr std::uint64_t data_end =
    0x40'0000; // TestCpu::data_at up to here is filled with random bytes

class TranslatedRun : public ::testing::Test {
protected:
    void SetUp() override { std::ranges::generate(registers_, random_); }

    // Runs the code on both, with the registers as they are in `registers_`, and compares all that is left.
    void run(const std::function<void(Xbyak::CodeGenerator&)>& emit,
             testing::Mode mode = testing::Mode::long64) {
        Xbyak::CodeGenerator code;
        emit(code);
        code.hlt();
        TestCpu reference(mode);
        reference.catch_exceptions();
        reference.write_bytes(TestCpu::code_at, std::span(code.getCode(), code.getSize()));
        std::mt19937_64 bytes(1);
        for (std::uint64_t at = TestCpu::data_at; at < data_end; at += 8) {
            reference.write<std::uint64_t>(at, bytes());
        }
        if (prepare_) {
            prepare_(reference);
        }
        x86::State state = reference.cpu->state();
        state.rip = TestCpu::code_at;
        for (unsigned i = 0; i < registers_.size(); ++i) {
            state.gpr[i] = i == x86::rsp && !own_stack_ ? TestCpu::stack_top : registers_[i];
        }
        reference.cpu->set_state(state);
        const auto memory = memory::GuestMemory::create(TestCpu::ram_size).value();
        std::ranges::copy(ram(*reference.memory), ram(*memory).begin());
        reference.clock.pause();
        const Clock clock(reference.clock.now()); // stands still, too
        testing::FakeBus bus;
        auto engine = create_eager_engine(*memory, clock).value();
        const auto vcpu = engine->create_vcpu({.model = &reference.cpu->model()}, bus).value();
        vcpu->set_state(state);

        EXPECT_EQ(reference.resume(), Exit::halt);
        if (disturbed_) {
            run_disturbed(*vcpu);
        } else {
            EXPECT_EQ(vcpu->run(), Exit::halt);
        }
        const x86::State expected = reference.cpu->state(), actual = vcpu->state();
        EXPECT_EQ(actual.rip, expected.rip);
        EXPECT_EQ(actual.rflags, expected.rflags);
        EXPECT_EQ(actual.gpr, expected.gpr);
        EXPECT_EQ(actual.system.cr2, expected.system.cr2);
        EXPECT_TRUE(actual.system.segments == expected.system.segments);
        expect_same(actual.fp, expected.fp);
        EXPECT_TRUE(std::ranges::equal(ram(*memory), ram(*reference.memory)));
        EXPECT_EQ(bus.mmio_writes, reference.bus.mmio_writes);
        for (const auto& [name, count] : exits(*vcpu)) {
            counts_[std::string(name)] = count;
        }
    }

    // While signals come all the time.
    void run_disturbed(Vcpu& vcpu) {
        const std::jthread other([&vcpu](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                vcpu.signals().set(Signals::leave);
                std::this_thread::sleep_for(std::chrono::microseconds(20));
            }
        });
        Exit exit = Exit::requested;
        while (exit == Exit::requested) {
            exit = vcpu.run();
            if (exit == Exit::requested && on_stop_) {
                on_stop_(vcpu.state());
            }
        }
        EXPECT_EQ(exit, Exit::halt);
    }

    static void expect_same(const x86::FpState& actual, const x86::FpState& expected) {
        EXPECT_EQ(actual.fcw, expected.fcw);
        EXPECT_EQ(actual.fsw, expected.fsw);
        EXPECT_EQ(actual.abridged_tag, expected.abridged_tag);
        EXPECT_EQ(actual.fop, expected.fop);
        EXPECT_EQ(actual.fip, expected.fip);
        EXPECT_EQ(actual.fdp, expected.fdp);
        EXPECT_EQ(actual.fcs, expected.fcs);
        EXPECT_EQ(actual.fds, expected.fds);
        EXPECT_TRUE(actual == expected) << "registers";
    }

    [[nodiscard]] static std::span<std::byte> ram(memory::GuestMemory& memory) {
        return {memory.host(0, TestCpu::ram_size), TestCpu::ram_size};
    }

    std::uint64_t& operator[](x86::Register number) { return registers_[number]; }

    std::function<void(TestCpu&)> prepare_;       // memory, before it runs
    std::map<std::string, std::uint64_t> counts_; // of the last run, as `strata inspect --engine` names them
    bool disturbed_ = false;                      // by signals
    std::function<void(const x86::State&)> on_stop_; // for one of them
    bool own_stack_ = false;                         // else rSP is at the fixture's stack
    std::mt19937_64 random_{7};
    std::array<std::uint64_t, 16> registers_{};
};

} // namespace strata::cpu::translator
