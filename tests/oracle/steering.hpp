// Fits a random state to an instruction: addresses reach prepared memory, counts are small enough, branches
// land where something catches them, images that an instruction loads are valid often enough.
#pragma once

#include "generator.hpp"

#include <cstddef>

namespace strata::oracle {

// General registers by number, as a set.
class RegisterSet {
public:
    void add(unsigned number) { bits_ = static_cast<std::uint16_t>(bits_ | 1U << number); }

    [[nodiscard]] bool has(unsigned number) const { return (bits_ >> number) & 1; }

    void add(const RegisterSet& other) { bits_ |= other.bits_; }

private:
    std::uint16_t bits_ = 0;
};

// The general register that `value` is part of, or -1.
[[nodiscard]] int general_register(ZydisRegister value);

class Steering {
public:
    Steering(const Disassembler& disassembler, Random& random, TestCase& input)
        : disassembler_(disassembler), random_(random), input_(input) {}

    // May change displacements and branch offsets in the code, and `planned` with them. False if the
    // instruction cannot follow those before it: what it needs is no longer free to choose.
    bool fit(Planned& planned);

private:
    // addresses (steering_memory.cpp)
    bool fit_memory_operands(Planned& planned);
    bool fit_memory_operand(Planned& planned, std::size_t operand);
    bool fit_vector_index(const Planned& planned, const ZydisDecodedOperand& operand);
    bool solve(Planned& planned, std::size_t operand, std::uint64_t target);
    [[nodiscard]] std::uint64_t choose_target(std::uint64_t size, bool stack);
    [[nodiscard]] std::uint64_t effective_address(const Planned& planned,
                                                  const ZydisDecodedOperand& operand) const;
    [[nodiscard]] std::uint64_t segment_base(ZydisRegister segment) const;
    // Overwrites `size` bytes of the instruction at `offset` and decodes it again.
    void patch(Planned& planned, unsigned offset, unsigned size, std::uint64_t value);
    // The bytes at a linear address, if a case chooses them; else empty.
    [[nodiscard]] std::span<std::uint8_t> memory_at(std::uint64_t address, std::size_t size);

    // registers
    [[nodiscard]] std::uint64_t value_of(ZydisRegister value) const;
    bool set(ZydisRegister reg, std::uint64_t value); // false if it is fixed
    void fix_operands(const Planned& planned);

    // counts, branches, contents (steering.cpp)
    bool fit_counts(const Planned& planned); // false if they are fixed
    [[nodiscard]] static bool restores_from_two_pages(const Planned& planned);
    [[nodiscard]] bool saves_little_to_two_pages(const Planned& planned) const;
    [[nodiscard]] bool reaches_beyond_4_gib(const Planned& planned) const;
    // Whether its memory operand is at a multiple of 16, whatever the instructions before it do.
    [[nodiscard]] bool surely_aligned(const Planned& planned) const;
    bool fit_branch(Planned& planned);
    [[nodiscard]] std::uint64_t branch_target(); // linear
    [[nodiscard]] std::uint64_t branch_offset();
    [[nodiscard]] std::uint64_t stack_linear(std::uint64_t offset) const;
    bool fit_selector(const Planned& planned);
    bool put_selector(std::uint64_t address); // false if its memory is not for a case to choose
    [[nodiscard]] std::uint16_t choose_selector();
    void fit_far_target(std::uint64_t address, const Planned& planned);
    void fit_contents(Planned& planned);
    void fit_register_contents(const ZydisDecodedOperand& operand);
    void fit_image(const Planned& planned, std::uint64_t address);
    void fit_exchange(const Planned& planned, std::uint64_t address);

    const Disassembler& disassembler_;
    Random& random_;
    TestCase& input_;
    RegisterSet fixed_; // earlier instructions use them
};

} // namespace strata::oracle
