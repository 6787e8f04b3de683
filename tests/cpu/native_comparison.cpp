#include "native_comparison.hpp"

#include "cpu/x86/x87.hpp"

#include <csignal>
#include <sstream>

namespace strata::cpu::testing {

using x86::Float80, x86::FpState;

namespace {

std::string show(std::uint64_t value) {
    std::ostringstream text;
    text << std::hex << value;
    return text.str();
}

std::string show(const Float80& value) { return show(value.sign_exponent) + ":" + show(value.significand); }

std::string show(const x86::Vector256& value) { return show(value.lanes[1]) + ":" + show(value.lanes[0]); }

int signal_of(x86::Vector vector) {
    switch (vector) {
    case x86::Vector::x87_fault:
    case x86::Vector::simd_fault: return SIGFPE;
    case x86::Vector::invalid_opcode: return SIGILL;
    default: return SIGSEGV;
    }
}

// A failure each is enough to know an instruction by.
int failure_count() {
    return ::testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
}

void expect_same_memory(const FpuCase& native, const FpuCase& interpreted, const std::string& context) {
    for (unsigned i = 0; i < native.memory.size(); ++i) {
        if (native.memory[i] != interpreted.memory[i]) {
            ADD_FAILURE() << "memory byte " << i << ": native " << show(native.memory[i]) << ", interpreted "
                          << show(interpreted.memory[i]) << context;
            return;
        }
    }
}

void expect_same(const FpuCase& native, const FpuCase& interpreted, const std::string& context) {
    const FpState &a = native.fp, &b = interpreted.fp;
    for (unsigned i = 0; i < a.physical.size(); ++i) {
        EXPECT_EQ(show(a.physical[i]), show(b.physical[i])) << "R" << i << context;
    }
    for (unsigned i = 0; i < a.ymm.size(); ++i) {
        EXPECT_EQ(show(a.ymm[i]), show(b.ymm[i])) << "XMM" << i << context;
    }
    EXPECT_EQ(show(a.fsw), show(b.fsw)) << "FSW" << context;
    EXPECT_EQ(show(a.fcw), show(b.fcw)) << "FCW" << context;
    EXPECT_EQ(show(a.abridged_tag), show(b.abridged_tag)) << "tags" << context;
    EXPECT_EQ(show(a.fop), show(b.fop)) << "FOP" << context;
    EXPECT_EQ(show(a.fip), show(b.fip)) << "FIP" << context;
    EXPECT_EQ(show(a.fdp), show(b.fdp)) << "FDP" << context;
    EXPECT_EQ(show(a.mxcsr), show(b.mxcsr)) << "MXCSR" << context;
    EXPECT_EQ(show(native.rax), show(interpreted.rax)) << "RAX" << context;
    EXPECT_EQ(show(native.rflags & x86::flag::arithmetic), show(interpreted.rflags & x86::flag::arithmetic))
        << "RFLAGS" << context;
    expect_same_memory(native, interpreted, context);
}

} // namespace

NativeComparison::NativeComparison() : seed_(std::random_device{}()), random_(seed_) {
    RecordProperty("seed", std::to_string(seed_));
}

void NativeComparison::compare(const Bytes& instruction, unsigned count) {
    const int failures = failure_count();
    for (unsigned i = 0; i < count && failure_count() == failures; ++i) {
        const FpuCase before = state();
        FpuCase native = before, interpreted = before;
        const std::optional<int> signal = run_native(instruction, native);
        const std::optional<x86::Vector> fault = interpreted_.run(instruction, interpreted);
        if (signal || fault) {
            EXPECT_EQ(signal, fault ? std::optional(signal_of(*fault)) : std::nullopt)
                << describe(instruction, before);
        } else {
            expect_same(native, interpreted, describe(instruction, before));
        }
    }
}

// If the host's kernel switches contexts before the state is stored, some processors lose the pointers.
std::optional<int> NativeComparison::run_native(const Bytes& instruction, FpuCase& state) {
    const FpuCase before = state;
    std::optional<int> signal;
    for (unsigned attempts = 0; attempts < 3; ++attempts) {
        state = before;
        signal = native_.run(instruction, state);
        if (signal || (state.fp.fip != 0 && state.fp.fdp != 0)) {
            break;
        }
    }
    return signal;
}

// Numbers of every class, often near 1, near the limits of the formats, and exact.
Float80 NativeComparison::number() {
    constexpr std::uint64_t integer_bit = 1ULL << 63;
    constexpr std::uint64_t significands[] = {
        0,          1,           1ULL << 62,  integer_bit,           integer_bit | 1,         ~0ULL,
        3ULL << 62, ~0ULL << 11, ~0ULL << 40, integer_bit | 1 << 10, integer_bit | 1ULL << 39};
    constexpr std::uint16_t exponents[] = {0,      1,      2,      0x3FFF, 0x3FFE, 0x4000,
                                           0x3FBF, 0x403E, 0x401D, 0x400D, 0x7FFE, 0x7FFF,
                                           0x3F80, 0x3F6A, 0x407F, 0x3C00, 0x43FF, 0x3BCD};
    std::uint64_t significand = one_in(3) ? pick(significands) : bits() | (one_in(20) ? 0 : integer_bit);
    if (one_in(4)) {
        significand &= ~0ULL << (bits() % 64);
    }
    const auto near_one = static_cast<std::uint16_t>(0x3FFF - 70 + bits() % 140);
    const std::uint16_t exponent = one_in(3)   ? pick(exponents)
                                   : one_in(4) ? static_cast<std::uint16_t>(bits() & 0x7FFF)
                                               : near_one;
    return {significand, static_cast<std::uint16_t>(exponent | (bits() & 0x8000))};
}

FpuCase NativeComparison::state() {
    FpuCase result;
    fill_registers(result.fp);
    result.rax = bits();
    result.rflags = 0x202 | (bits() & x86::flag::arithmetic);
    fill_operand(result);
    return result;
}

void NativeComparison::fill_registers(FpState& fp) {
    for (Float80& value : fp.physical) {
        value = number();
    }
    for (x86::Vector256& value : fp.ymm) {
        constexpr std::uint64_t lanes[] = {0x41E0'0000'0000'0000, 0x3FF8'0000'0000'0000,
                                           0x4F00'0000'C020'0000, 0x7FF0'0000'0000'0001,
                                           0xC2C8'0001'3E80'0000};
        value.lanes[0] = one_in(3) ? pick(lanes) : bits();
        value.lanes[1] = one_in(3) ? pick(lanes) : bits();
    }
    constexpr std::uint8_t tags[] = {0xFF, 0xFF, 0xFF, 0x7F, 0xC0, 0x00, 0xF0};
    fp.abridged_tag = one_in(4) ? static_cast<std::uint8_t>(bits()) : pick(tags);
    fp.fcw = static_cast<std::uint16_t>(0x40 | (bits() & 0xF00) | (one_in(3) ? bits() & 0x3F : 0x3F));
    if (one_in(2)) {
        fp.fcw = static_cast<std::uint16_t>((fp.fcw & ~0xF00) | 0x300);
    }
    const bool pending = one_in(30);
    const auto flags = static_cast<std::uint16_t>(bits() & 0x7F & (pending ? 0x7F : fp.fcw | 0x40));
    fp.fsw = static_cast<std::uint16_t>((bits() & 0x7F00) | (one_in(2) ? flags : 0));
    if (one_in(2)) {
        x86::set_stack_top(fp, 0);
    }
    x86::update_exception_summary(fp);
    fp.fop = 0x123;
    fp.fip = 0x4567;
    fp.fdp = 0x89AB;
    fp.mxcsr = static_cast<std::uint32_t>(0x1F80 | (bits() & 0xE07F));
    if (one_in(4)) {
        fp.mxcsr &= ~static_cast<std::uint32_t>(bits() & 0x1F80);
    }
}

// The memory operand: random, or a number of one of the formats.
void NativeComparison::fill_operand(FpuCase& result) {
    for (std::uint8_t& byte : result.memory) {
        byte = static_cast<std::uint8_t>(bits());
    }
    constexpr std::uint64_t doubles[] = {0,
                                         1,
                                         0x7FF0'0000'0000'0000,
                                         0x7FF0'0000'0000'0001,
                                         0x7FF8'0000'0000'0000,
                                         0x0010'0000'0000'0000,
                                         0x3FF0'0000'0000'0000,
                                         0xC000'0000'0000'0000};
    constexpr std::uint32_t singles[] = {0, 1, 0x7F80'0000, 0x7F80'0001, 0x7FC0'0000, 0x80'0000, 0x3F80'0000};
    const Float80 extended = number();
    const std::uint64_t wide = pick(doubles);
    const std::uint32_t narrow = pick(singles) | static_cast<std::uint32_t>(bits() & 0x8000'0000);
    switch (bits() % 5) {
    case 0: std::memcpy(result.memory.data(), &wide, sizeof wide); break;
    case 1: std::memcpy(result.memory.data(), &narrow, sizeof narrow); break;
    case 2: std::memcpy(result.memory.data(), &extended, 10); break;
    case 3: fill_decimal(result); break;
    default: break;
    }
}

void NativeComparison::fill_decimal(FpuCase& result) {
    for (unsigned i = 0; i < 9; ++i) {
        result.memory[i] = static_cast<std::uint8_t>(bits() % 10 << 4 | bits() % 10);
    }
}

std::string NativeComparison::describe(const Bytes& instruction, const FpuCase& before) const {
    std::string text = "\n  seed " + std::to_string(seed_) + ", instruction";
    for (const std::uint8_t byte : instruction) {
        text += " " + show(byte);
    }
    const FpState& fp = before.fp;
    text += "\n  fcw " + show(fp.fcw) + " fsw " + show(fp.fsw) + " tags " + show(fp.abridged_tag) +
            " mxcsr " + show(fp.mxcsr) + " rax " + show(before.rax) + " rflags " + show(before.rflags);
    for (unsigned i = 0; i < 8; ++i) {
        text += "\n  ST" + std::to_string(i) + " " + show(fp.physical[(x86::stack_top(fp) + i) & 7]) + "  R" +
                std::to_string(i) + " " + show(fp.physical[i]) + "  XMM" + std::to_string(i) + " " +
                show(fp.ymm[i]);
    }
    text += "\n  memory";
    for (unsigned i = 0; i < 16; ++i) {
        text += " " + show(before.memory[i]);
    }
    return text;
}

} // namespace strata::cpu::testing
