// Time that is made of instructions: the interpreter stops exactly where something is due, and clocks show
// how many instructions there were before.
#include "cpu_fixture.hpp"

#include <gtest/gtest.h>

namespace strata::cpu::interpreter {
namespace {

using testing::FakeBus;
using testing::TestCpu;

// An instruction is a nanosecond; something is due at each multiple of `period`.
class TestTime final : public InstructionTime {
public:
    TestTime(Clock& clock, std::uint64_t period) : clock_(clock), period_(period) {}

    void reached(std::uint64_t instructions) override {
        clock_.advance(static_cast<Nanoseconds>(instructions) - clock_.now());
    }

    [[nodiscard]] std::uint64_t attend() override {
        const auto now = static_cast<std::uint64_t>(clock_.now());
        if (now >= due_) {
            met.push_back(now);
            due_ += period_;
        }
        return due_;
    }

    std::vector<std::uint64_t> met;

private:
    Clock& clock_;
    std::uint64_t period_, due_ = period_;
};

class CountedTime : public ::testing::Test {
protected:
    // The code, on a processor in the state of small_'s.
    void run(std::initializer_list<int> code) {
        const std::vector<std::uint8_t> bytes(code.begin(), code.end());
        small_.write_bytes(TestCpu::code_at, bytes);
        x86::State state = small_.cpu->state();
        state.rip = TestCpu::code_at;
        cpu_.set_state(state);
        EXPECT_EQ(cpu_.run(), Exit::halt);
    }

    TestCpu small_{testing::Mode::long64};
    Clock clock_{0};
    TestTime time_{clock_, 7};
    Shared shared_{*small_.memory, clock_};
    FakeBus bus_;
    Cpu cpu_{shared_, {.model = &small_.cpu->model(), .time = &time_}, bus_};
};

TEST_F(CountedTime, IsMetAtTheInstructionInTheMiddleOfBlocks) {
    run({0xB9, 10, 0, 0, 0, // mov ecx, 10
         0x90, 0x90, 0x90,  // nop (3)
         0xFF, 0xC9,        // dec ecx
         0x75, 0xF9,        // jnz to the first nop
         0xF4});            // hlt
    EXPECT_EQ(cpu_.retired(), 1U + 10 * 5 + 1);
    EXPECT_EQ(time_.met, (std::vector<std::uint64_t>{7, 14, 21, 28, 35, 42, 49}));
}

TEST_F(CountedTime, ShowsInTheTscAndToDevices) {
    std::vector<Nanoseconds> seen;
    bus_.on_port_write = [&] { seen.push_back(clock_.now()); };
    run({0x90, 0x90,         // nop (2)
         0x0F, 0x31,         // rdtsc: after 2
         0x89, 0xC3,         // mov ebx, eax
         0xE6, 0x80,         // out 0x80, al: after 4
         0x0F, 0x31,         // rdtsc: after 5
         0xE6, 0x80, 0xF4}); // out, after 6; hlt
    EXPECT_EQ(cpu_.regs[x86::rbx], 2U);
    EXPECT_EQ(cpu_.regs[x86::rax], 5U);
    EXPECT_EQ(seen, (std::vector<Nanoseconds>{4, 6}));
}

TEST_F(CountedTime, CountsAFaultingInstructionNotAtAll) {
    small_.catch_exceptions();
    run({0x90, 0x0F, 0x0B}); // nop, ud2; the handler halts
    EXPECT_EQ(cpu_.retired(), 2U);
}

} // namespace
} // namespace strata::cpu::interpreter
