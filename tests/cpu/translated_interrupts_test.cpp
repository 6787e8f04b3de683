// Interrupts that arrive while translated code runs.
#include "translated_run.hpp"

namespace strata::cpu::translator {
namespace {

using Xbyak::CodeGenerator;
using Xbyak::Label;
using namespace Xbyak::util; // NOLINT: the registers' names

constexpr std::uint8_t vector = 0x40;
constexpr std::uint64_t handler_at = 0x3'0000, notes_at = TestCpu::data_at + 0x1000;
constexpr unsigned rounds = 50, data_segment = 0x10;

// Whatever is written to a port brings an interrupt.
class InterruptingBus : public testing::FakeBus {
public:
    explicit InterruptingBus(Signals& signals) : signals_(signals) {}

    void write_port(std::uint16_t, unsigned, std::uint32_t) override { signals_.set(Signals::interrupt); }

    std::optional<std::uint8_t> acknowledge_interrupt() override {
        signals_.clear(Signals::interrupt);
        return vector;
    }

private:
    Signals& signals_;
};

class LateBus : public testing::FakeBus {
public:
    std::optional<InterruptingBus> bus; // once the processor is there whose signals it sets

    void write_port(std::uint16_t port, unsigned size, std::uint32_t value) override {
        bus->write_port(port, size, value);
    }

    std::optional<std::uint8_t> acknowledge_interrupt() override { return bus->acknowledge_interrupt(); }
};

class TranslatedInterrupts : public ::testing::Test {
protected:
    TranslatedInterrupts() {
        // The handler counts, and notes flags and selectors that it finds.
        CodeGenerator handler;
        handler.push(rax);
        handler.push(rdi);
        handler.mov(edi, notes_at);
        handler.add(dword[rdi], 1);
        handler.mov(rax, ptr[rsp + 4 * 8]);
        handler.and_(eax, 0x200);
        handler.add(ptr[rdi + 8], rax);
        handler.mov(rax, ptr[rsp + 3 * 8]);
        handler.add(ptr[rdi + 16], rax);
        handler.pop(rdi);
        handler.pop(rax);
        handler.db(0x48), handler.db(0xCF); // iretq
        cpu_.write_bytes(handler_at, std::span(handler.getCode(), handler.getSize()));
        const std::uint64_t gate =
            (handler_at & 0xFFFF) | 0x08 << 16 | std::uint64_t{0x8E00} << 32 | (handler_at >> 16) << 48;
        cpu_.write(TestCpu::idt_at + vector * 16, gate);
        cpu_.cpu->system.idtr = {TestCpu::idt_at, 0x7FF};
    }

    // Runs it on the translator; the result is what rBX holds then.
    std::uint64_t run(const std::function<void(CodeGenerator&)>& emit) {
        CodeGenerator code;
        emit(code);
        code.hlt();
        cpu_.write_bytes(TestCpu::code_at, std::span(code.getCode(), code.getSize()));
        x86::State state = cpu_.cpu->state();
        state.rip = TestCpu::code_at;
        state.gpr[x86::rsp] = TestCpu::stack_top;
        state.gpr[x86::rcx] = rounds;
        LateBus bus;
        auto engine = create_eager_engine(*cpu_.memory, cpu_.clock).value();
        const auto vcpu = engine->create_vcpu({.model = &cpu_.cpu->model()}, bus).value();
        bus.bus.emplace(vcpu->signals());
        vcpu->set_state(state);
        EXPECT_EQ(vcpu->run(), Exit::halt);
        for (const auto& [name, count] : exits(*vcpu)) {
            counts_[std::string(name)] = count;
        }
        return vcpu->state().gpr[x86::rbx];
    }

    [[nodiscard]] std::uint64_t note(unsigned number) const {
        return cpu_.read<std::uint64_t>(notes_at + number * 8);
    }

    TestCpu cpu_{testing::Mode::long64};
    std::map<std::string, std::uint64_t> counts_;
};

// One a round, which its backward jump sees.
TEST_F(TranslatedInterrupts, OfALoop) {
    const std::uint64_t sum = run([](CodeGenerator& c) {
        Label again;
        c.xor_(ebx, ebx);
        c.sti();
        c.L(again);
        c.out_(0x80, al);
        c.movups(xmm1, ptr[rsp - 0x40]);
        c.add(rbx, rcx);
        c.dec(rcx);
        c.jnz(again);
    });
    EXPECT_EQ(sum, rounds * (rounds + 1) / 2);
    EXPECT_EQ(note(0), rounds);
    EXPECT_EQ(note(1), rounds * 0x200U);
    EXPECT_EQ(note(2), rounds * 0x08U);
    EXPECT_GE(counts_["interrupts"], rounds - 5U); // until all of it is translated
}

// They wait until POPF, STI or IRETQ lets them in.
TEST_F(TranslatedInterrupts, ThatWait) {
    for (const unsigned by : {0U, 1U, 2U}) {
        cpu_.write<std::uint64_t>(notes_at, 0);
        const std::uint64_t sum = run([by](CodeGenerator& c) {
            Label again, behind;
            c.xor_(ebx, ebx);
            c.L(again);
            c.cli();
            c.out_(0x80, al);
            c.add(rbx, rcx);
            switch (by) {
            case 0:
                c.push(0x202);
                c.popfq();
                break;
            case 1:
                c.sti();
                c.nop();
                break;
            default:
                c.mov(r8, rsp);
                c.push(data_segment);
                c.push(r8);
                c.push(0x202);
                c.push(0x08);
                c.lea(rax, ptr[rip + behind]);
                c.push(rax);
                c.db(0x48), c.db(0xCF);
                c.L(behind);
                break;
            }
            c.mov(edx, notes_at);
            c.imul(rbx, rbx, 3);
            c.add(rbx, ptr[rdx]); // it has been counted
            c.dec(rcx);
            c.jnz(again);
        });
        std::uint64_t expected = 0;
        for (std::uint64_t round = 0; round < rounds; ++round) {
            expected = (expected + rounds - round) * 3 + round + 1;
        }
        EXPECT_EQ(sum, expected);
        EXPECT_EQ(note(0), rounds);
    }
}

} // namespace
} // namespace strata::cpu::translator
