// The instructions that are translated together: from one on, through forward jumps and past conditional
// ones, to where nobody knows how it goes on. All in one page. A short loop is there some times over, so that
// what is checked once a trace is checked once in some rounds.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/insn.hpp"
#include "cpu/translator/decoded.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace strata::cpu::translator {

struct TraceInstruction {
    interpreter::Insn insn;
    std::uint64_t rip = 0;     // its own
    std::uint32_t page_id = 0; // NativeBlock's, of its page; 0: it is the trace's own
    bool narrow = false;       // of 32-bit code
    std::array<std::uint8_t, interpreter::max_instruction_length> bytes{}; // insn.length of them
    bool known = false; // `decoded` is what it is; else only the interpreter knows
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

// A straight piece of a path that was seen to be taken: a block of the interpreter's.
struct Stretch {
    std::uint64_t linear = 0;
    std::uint32_t bytes = 0;
    std::uint32_t page_id = 0; // TraceInstruction's
    std::span<const std::uint8_t> page;
};

class Trace {
public:
    static constexpr std::size_t most_followed = 192; // instructions of a path

    // From `linear` on, whose page's bytes are `page`. Short loops are repeated if `unrolls`.
    void find(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
              std::span<const std::uint8_t> page, std::uint64_t linear, bool unrolls);

    // Along a path, as far as its stretches can follow each other; `closed` if it leads back to its
    // beginning.
    void follow(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                std::span<const Stretch> path, bool closed);

    // One instruction that reaches into the next page, which is known by that NativeBlock::page_id.
    void cross(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
               std::span<const std::uint8_t> bytes, std::uint64_t rip, std::uint32_t second_page_id);

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

    // Whether it goes on where a path did, through calls, returns and other jumps, and pages.
    [[nodiscard]] bool along_path() const { return along_path_; }

    // 0 but for an instruction that reaches into the next page.
    [[nodiscard]] std::uint32_t second_page_id() const { return second_page_id_; }

    // Whether it is made of the bytes of its page alone.
    [[nodiscard]] bool of_one_page() const { return !along_path_ && second_page_id_ == 0; }

private:
    void begin();
    bool append_stretch(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                        const Stretch& stretch);
    // The instruction at `rip`. False: it reaches into the next page, or is none.
    bool append(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                std::span<const std::uint8_t> page, std::uint64_t rip);
    // Likewise the one that `bytes`, of `rip`, begin with.
    bool append_first(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                      std::span<const std::uint8_t> bytes, std::uint64_t rip);
    // Whether `rip` may come behind the last instruction.
    [[nodiscard]] bool may_lead_to(std::uint64_t rip) const;
    // Where the trace goes on behind its last instruction, if it does.
    [[nodiscard]] std::optional<std::uint64_t> successor();
    void unroll();

    std::vector<TraceInstruction> instructions_; // kept for the next time: it is large
    std::size_t count_ = 0, round_ = 0;
    std::uint64_t granules_ = 0;
    bool ends_block_ = false; // the last one
    bool loops_ = false, along_path_ = false;
    std::uint32_t second_page_id_ = 0;
};

} // namespace strata::cpu::translator
