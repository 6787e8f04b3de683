#include "cpu/translator/trace.hpp"

#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"

#include <algorithm>
#include <cstring>

namespace strata::cpu::translator {

namespace {

constexpr std::size_t most_instructions = 96;
constexpr std::size_t most_unrolled = 384, most_rounds = 8; // instructions and rounds of a loop

bool same_page(std::uint64_t a, std::uint64_t b) { return (a ^ b) < memory::page_size; }

} // namespace

void Trace::find(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                 std::span<const std::uint8_t> page, std::uint64_t linear, bool unrolls) {
    count_ = 0;
    granules_ = 0;
    loops_ = false;
    instructions_.resize(std::max(most_instructions, most_unrolled));
    const ZydisDecoder& zydis = decoder.zydis(mode.size);
    for (std::optional<std::uint64_t> rip = linear; rip && count_ < most_instructions;) {
        const std::uint64_t offset = *rip % memory::page_size;
        const auto bytes = page.subspan(
            offset, std::min<std::size_t>(page.size() - offset, interpreter::max_instruction_length));
        const interpreter::Decoder::Result result = decoder.decode(mode, bytes);
        if (result.status != interpreter::Decoder::Status::ok) {
            break; // it reaches into the next page: the interpreter's
        }
        TraceInstruction& instruction = instructions_[count_++];
        instruction.insn = result.insn;
        instruction.rip = *rip;
        instruction.narrow = mode.size != interpreter::CodeMode::Size::bits64;
        instruction.known =
            !result.refused &&
            ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis, bytes.data(), bytes.size(), &instruction.decoded.info,
                                                instruction.decoded.operands.data())) &&
            instruction.decoded.info.length == result.insn.length;
        granules_ |= interpreter::granule_mask(offset, result.insn.length);
        rip = successor(result.ends_block);
    }
    round_ = count_;
    if (loops_ && unrolls) {
        unroll();
    }
}

bool Trace::unchanged(std::span<const std::uint8_t> before, const std::byte* now) const {
    return std::ranges::all_of(instructions(), [&](const TraceInstruction& instruction) {
        const std::uint64_t offset = instruction.rip % memory::page_size;
        return std::memcmp(before.data() + offset, now + offset, instruction.insn.length) == 0;
    });
}

// What leads back to the first instruction is the last one.
void Trace::unroll() {
    for (std::size_t rounds = 1; rounds < most_rounds && count_ + round_ <= most_unrolled; ++rounds) {
        std::copy_n(instructions_.begin(), round_,
                    instructions_.begin() + static_cast<std::ptrdiff_t>(count_));
        count_ += round_;
    }
}

std::optional<std::uint64_t> Trace::successor(bool ends_block) {
    const TraceInstruction& last = instructions_[count_ - 1];
    const std::uint64_t first = instructions_[0].rip;
    std::uint64_t next = last.next_rip();
    if (ends_block) {
        const bool conditional = last.known && last.decoded.jump_condition().has_value();
        if (!conditional && !(last.known && last.decoded.direct_jump())) {
            return std::nullopt;
        }
        loops_ |= last.target() == first;
        if (last.target() <= last.rip) {
            return std::nullopt; // a loop's end
        }
        if (!conditional) {
            next = last.target();
        }
    }
    return same_page(next, first) ? std::optional(next) : std::nullopt;
}

} // namespace strata::cpu::translator
