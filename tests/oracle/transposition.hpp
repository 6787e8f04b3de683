// 16- and 32-bit code on a host that runs only 64-bit code: most instructions have an equivalent there, with
// the same operands and effects, so that the host's processor judges them too. What has none, stack and
// segment instructions above all, such a host cannot judge.
#pragma once

#include "generator.hpp"
#include "steering.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace strata::oracle {

class Transposition {
public:
    explicit Transposition(const Disassembler& narrow) : narrow_(narrow) {}

    // The 64-bit equivalent of a narrow case; none if an instruction lacks one.
    [[nodiscard]] std::optional<TestCase> transpose(const GeneratedCase& generated);

    // The outcome of the last transposed case, in terms of the narrow one.
    [[nodiscard]] Outcome restore(const GeneratedCase& generated, const Outcome& native) const;

private:
    [[nodiscard]] bool transpose_instruction(const Planned& planned, TestCase& wide);
    [[nodiscard]] bool transpose_memory(const Planned& planned, const ZydisDecodedOperand& from,
                                        ZydisEncoderOperand& to, ZydisInstructionAttributes& prefixes) const;
    [[nodiscard]] bool reaches_the_same(const ZydisDecodedOperand& operand, unsigned address_width) const;
    [[nodiscard]] bool may_read_code(const Decoded& decoded) const;
    [[nodiscard]] std::uint64_t branch_target(const Planned& planned) const;
    [[nodiscard]] bool aim_branch(const Planned& planned, const Decoded& wide, std::uint64_t address,
                                  std::span<std::uint8_t> code) const;
    void note_writes(const Decoded& narrow);
    [[nodiscard]] bool means_the_same(const Decoded& narrow, const Decoded& wide) const;

    const Disassembler& narrow_;
    Disassembler wide_{64};
    const TestCase* input_ = nullptr; // the narrow case at hand
    RegisterSet written_;             // by its instructions so far
    std::vector<std::pair<std::uint64_t, std::uint64_t>>
        addresses_; // linear: of narrow and wide instructions
};

} // namespace strata::oracle
