// Two processors of one machine, which translate together: what one has made the other takes, and what one
// rewrites the other leaves.
#include "translated_run.hpp"

#include <thread>

namespace strata::cpu::translator {
namespace {

using namespace Xbyak::util; // NOLINT: the registers' names

class SharedTraces : public TranslatedRun {
protected:
    static constexpr std::uint64_t function_at = 0x2'0100;

    // Both execute `code`, which begins at TestCpu::code_at, with a stack each.
    void load(Xbyak::CodeGenerator& code) {
        fixture_.write_bytes(TestCpu::code_at, std::span(code.getCode(), code.getSize()));
        std::ranges::copy(ram(*fixture_.memory), ram(*memory_).begin());
        engine_ = create_eager_engine(*memory_, clock_).value();
        for (unsigned id = 0; id < 2; ++id) {
            vcpus_[id] =
                engine_->create_vcpu({.id = id, .count = 2, .model = &fixture_.cpu->model()}, buses_[id])
                    .value();
            start(id);
        }
    }

    // From the beginning, which finds its number in RDI.
    void start(unsigned id) {
        x86::State state = fixture_.cpu->state();
        state.rip = TestCpu::code_at;
        state.gpr[x86::rsp] = TestCpu::stack_top - id * 0x800;
        state.gpr[x86::rdi] = id;
        vcpus_[id]->set_state(state);
    }

    [[nodiscard]] std::uint64_t count(unsigned id, std::string_view name) const {
        for (const auto& [reason, number] : exits(*vcpus_[id])) {
            if (reason == name) {
                return number;
            }
        }
        return 0;
    }

    [[nodiscard]] std::uint64_t rax(unsigned id) const { return vcpus_[id]->state().gpr[x86::rax]; }

    TestCpu fixture_{testing::Mode::long64};
    std::unique_ptr<memory::GuestMemory> memory_ = memory::GuestMemory::create(TestCpu::ram_size).value();
    const Clock clock_;
    std::array<testing::FakeBus, 2> buses_;
    std::unique_ptr<Engine> engine_;
    std::array<std::unique_ptr<Vcpu>, 2> vcpus_;
};

// What is at function_at: mov eax, NUMBER; ret.
void emit_function(TestCpu& fixture, std::uint64_t at, std::uint8_t number) {
    fixture.write_bytes(at, std::array<std::uint8_t, 6>{0xB8, number, 0, 0, 0, 0xC3});
}

TEST_F(SharedTraces, TheSecondTranslatesNothing) {
    Xbyak::CodeGenerator c;
    Xbyak::Label again;
    c.mov(ebx, static_cast<int>(function_at));
    c.mov(ecx, 100);
    c.L(again);
    c.call(rbx);
    c.dec(ecx);
    c.jnz(again);
    c.hlt();
    emit_function(fixture_, function_at, 7);
    load(c);
    EXPECT_EQ(vcpus_[0]->run(), Exit::halt);
    EXPECT_GT(count(0, "traces"), 2U);
    EXPECT_EQ(count(0, "traces-reused"), 0U);
    EXPECT_EQ(vcpus_[1]->run(), Exit::halt);
    EXPECT_EQ(rax(1), 7U);
    EXPECT_EQ(count(1, "traces"), 0U);
    EXPECT_EQ(count(1, "traces-reused"), count(0, "traces"));
}

// The first waits for what the second writes into code that both execute.
TEST_F(SharedTraces, WhatOneRewritesTheOtherLeaves) {
    for (unsigned round = 0; round < 20; ++round) {
        Xbyak::CodeGenerator c;
        Xbyak::Label warm, wait;
        c.mov(ebx, static_cast<int>(function_at));
        c.mov(ecx, 1000);
        c.L(warm);
        c.call(rbx);
        c.dec(ecx);
        c.jnz(warm);
        c.test(edi, edi);
        c.je(wait);
        c.mov(byte[rbx + 1], 2);
        c.L(wait);
        c.call(rbx);
        c.cmp(eax, 2);
        c.jne(wait);
        c.hlt();
        emit_function(fixture_, function_at, 1);
        load(c);
        std::thread other([this] { EXPECT_EQ(vcpus_[1]->run(), Exit::halt); });
        EXPECT_EQ(vcpus_[0]->run(), Exit::halt);
        other.join();
        EXPECT_EQ(rax(0), 2U);
        EXPECT_EQ(rax(1), 2U);
        vcpus_ = {};
        engine_.reset();
    }
}

} // namespace
} // namespace strata::cpu::translator
