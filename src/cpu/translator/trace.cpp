#include "cpu/translator/trace.hpp"

#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/interpreter/tlb.hpp"

#include <algorithm>
#include <cstring>

namespace strata::cpu::translator {

using interpreter::same_page;

namespace {

constexpr std::size_t most_instructions = 96;
constexpr std::size_t most_unrolled = 384, most_rounds = 8; // instructions and rounds of a loop

} // namespace

void Trace::begin() {
    count_ = 0;
    granules_ = 0;
    loops_ = along_path_ = false;
    second_page_id_ = 0;
    instructions_.resize(std::max(most_instructions, most_unrolled));
}

bool Trace::append(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                   std::span<const std::uint8_t> page, std::uint64_t rip) {
    const std::uint64_t offset = rip % memory::page_size;
    return append_first(decoder, mode,
                        page.subspan(offset, std::min<std::size_t>(page.size() - offset,
                                                                   interpreter::max_instruction_length)),
                        rip);
}

bool Trace::append_first(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                         std::span<const std::uint8_t> bytes, std::uint64_t rip) {
    const interpreter::Decoder::Result result = decoder.decode(mode, bytes);
    if (result.status != interpreter::Decoder::Status::ok) {
        return false;
    }
    TraceInstruction& instruction = instructions_[count_++];
    instruction.insn = result.insn;
    instruction.rip = rip;
    instruction.page_id = 0;
    std::ranges::copy(bytes.first(result.insn.length), instruction.bytes.begin());
    instruction.narrow = mode.size != interpreter::CodeMode::Size::bits64;
    instruction.known = !result.refused &&
                        ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder.zydis(mode.size), bytes.data(),
                                                            bytes.size(), &instruction.decoded.info,
                                                            instruction.decoded.operands.data())) &&
                        instruction.decoded.info.length == result.insn.length;
    ends_block_ = result.ends_block;
    return true;
}

void Trace::find(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                 std::span<const std::uint8_t> page, std::uint64_t linear, bool unrolls) {
    begin();
    for (std::optional<std::uint64_t> rip = linear; rip && count_ < most_instructions;) {
        if (!append(decoder, mode, page, *rip)) {
            break; // it reaches into the next page: the interpreter's
        }
        granules_ |=
            interpreter::granule_mask(*rip % memory::page_size, instructions_[count_ - 1].insn.length);
        rip = successor();
    }
    round_ = count_;
    if (loops_ && unrolls) {
        unroll();
    }
}

void Trace::cross(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                  std::span<const std::uint8_t> bytes, std::uint64_t rip, std::uint32_t second_page_id) {
    begin();
    if (append_first(decoder, mode, bytes, rip)) {
        second_page_id_ = second_page_id;
    }
    round_ = count_;
}

// ---- along a path ----

void Trace::follow(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                   std::span<const Stretch> path, bool closed) {
    begin();
    along_path_ = true;
    bool whole = true;
    for (const Stretch& stretch : path) {
        whole = (count_ == 0 || may_lead_to(stretch.linear)) && append_stretch(decoder, mode, stretch);
        if (!whole) {
            break;
        }
    }
    loops_ = closed && whole && may_lead_to(path.front().linear);
    round_ = count_;
    if (loops_) {
        unroll();
    }
}

// False: there is no room for all of it.
bool Trace::append_stretch(interpreter::Decoder& decoder, const interpreter::CodeMode& mode,
                           const Stretch& stretch) {
    for (std::uint64_t done = 0; done < stretch.bytes; done += instructions_[count_ - 1].insn.length) {
        if (count_ == most_followed || !append(decoder, mode, stretch.page, stretch.linear + done)) {
            return false;
        }
        instructions_[count_ - 1].page_id = stretch.page_id;
    }
    return true;
}

bool Trace::may_lead_to(std::uint64_t rip) const {
    const TraceInstruction& last = instructions_[count_ - 1];
    if (!ends_block_) {
        return rip == last.next_rip();
    }
    if (!last.known || !last.decoded.is_near_branch()) {
        return false;
    }
    const bool conditional = last.decoded.jump_condition().has_value();
    return !last.decoded.holds_target() || rip == last.target() || (conditional && rip == last.next_rip());
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

std::optional<std::uint64_t> Trace::successor() {
    const TraceInstruction& last = instructions_[count_ - 1];
    const std::uint64_t first = instructions_[0].rip;
    std::uint64_t next = last.next_rip();
    if (ends_block_) {
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
