// The instructions that are translated together: from one on, through forward jumps and past conditional
// ones, to where nobody knows how it goes on. All in one page. A short loop is there some times over, so that
// what is checked once a trace is checked once in some rounds.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/interpreter/insn.hpp"
#include "cpu/translator/decoded.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace strata::cpu::interpreter {
class Decoder;
}

namespace strata::cpu::translator {

struct TraceInstruction {
    interpreter::Insn insn;
    std::uint64_t rip = 0; // its own
    bool narrow = false;   // of 32-bit code
    bool known = false;    // `decoded` is what it is; else only the interpreter knows
    Decoded decoded;

    [[nodiscard]] std::uint64_t next_rip() const { return as_rip(rip + insn.length); }

    // Of a branch that holds its target.
    [[nodiscard]] std::uint64_t target() const {
        return as_rip(next_rip() + decoded.operands[0].imm.value.u);
    }

private:
    [[nodiscard]] std::uint64_t as_rip(std::uint64_t sum) const {
        return narrow ? static_cast<std::uint32_t>(sum) : sum;
    }
};

class Trace {
public:
    // From `linear` on, whose page's bytes are `page`. Short loops are repeated if `unrolls`.
    void find(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
              std::span<const std::uint8_t> page, std::uint64_t linear, bool unrolls);

    [[nodiscard]] std::span<const TraceInstruction> instructions() const {
        return std::span(instructions_).first(count_);
    }

    // Of the page: what was looked at.
    [[nodiscard]] std::uint64_t granules() const { return granules_; }

    // Whether two copies of the page agree in that.
    [[nodiscard]] bool unchanged(std::span<const std::uint8_t> before, const std::byte* now) const;

    // How many instructions there are until they are repeated.
    [[nodiscard]] std::size_t round() const { return round_; }

    // Whether a jump leads back to the first instruction.
    [[nodiscard]] bool loops() const { return loops_; }

private:
    // Where the trace goes on behind its last instruction, if it does.
    [[nodiscard]] std::optional<std::uint64_t> successor(bool ends_block);
    void unroll();

    std::vector<TraceInstruction> instructions_; // kept for the next time: it is large
    std::size_t count_ = 0, round_ = 0;
    std::uint64_t granules_ = 0;
    bool loops_ = false;
};

} // namespace strata::cpu::translator
