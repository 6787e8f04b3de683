#include "cpu/translator/sharing.hpp"

#include <algorithm>
#include <ranges>

namespace strata::cpu::translator {

namespace {

constexpr std::int64_t most_reach = 256; // of a group, in bytes: the more, the more often it crosses pages

// What an instruction adds to its first operand, a whole register, if that is a constant.
std::optional<std::int64_t> added_constant(const Decoded& decoded) {
    const ZydisDecodedOperand& second = decoded.operands[1];
    const bool immediate =
        decoded.info.operand_count_visible == 2 && second.type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_INC: return 1;
    case ZYDIS_MNEMONIC_DEC: return -1;
    case ZYDIS_MNEMONIC_ADD: return immediate ? std::optional(second.imm.value.s) : std::nullopt;
    case ZYDIS_MNEMONIC_SUB: return immediate ? std::optional(-second.imm.value.s) : std::nullopt;
    default: return std::nullopt;
    }
}

// What a near call or return adds to the stack pointer.
std::optional<std::uint64_t> moved_by_branch(const Decoded& decoded) {
    const std::uint64_t word = decoded.word();
    if (!decoded.is_near_branch()) {
        return std::nullopt;
    }
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_CALL: return std::uint64_t{0} - word;
    case ZYDIS_MNEMONIC_RET: return word + decoded.released();
    default: return std::nullopt;
    }
}

// Makes the group reach `size` bytes at `offset`, too; false if that is too far.
bool extend(AccessGroup& group, std::uint64_t offset, unsigned size) {
    const std::int64_t begin = distance(group.lowest, offset);
    if (begin < -most_reach || begin > most_reach) {
        return false;
    }
    const std::int64_t lowest = std::min<std::int64_t>(0, begin);
    const std::int64_t end = std::max(static_cast<std::int64_t>(group.length), begin + size);
    if (end - lowest > most_reach) {
        return false;
    }
    group.lowest += static_cast<std::uint64_t>(lowest);
    group.length = static_cast<std::uint64_t>(end - lowest);
    return true;
}

} // namespace

void Sharing::plan(std::span<const TraceInstruction> instructions) {
    groups_.clear();
    origins_.clear();
    accesses_.assign(instructions.size(), {});
    for (unsigned guest = 0; guest < values_.size(); ++guest) {
        forget(guest);
    }
    bases_ = {next_name_++, next_name_++};
    for (std::size_t i = 0; i < instructions.size(); ++i) {
        added_ = 0;
        current_ = &accesses_[i];
        plan(instructions[i]);
    }
}

void Sharing::plan(const TraceInstruction& instruction) {
    if (!instruction.known) {
        std::ranges::for_each(std::views::iota(0U, 16U), [&](unsigned guest) { forget(guest); });
        return;
    }
    const Decoded& decoded = instruction.decoded;
    const ZydisDecodedOperand* memory = memory_operand(decoded);
    if (memory != nullptr && addressable(decoded, *memory)) {
        add(address_of(decoded, *memory, instruction.next_rip()), memory->size / 8U, is_written(*memory));
    }
    const unsigned word = decoded.word();
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_CALL: add(on_stack(decoded.narrow(), -std::int64_t{word}), word, true); break;
    case ZYDIS_MNEMONIC_POP:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_RET: add(on_stack(decoded.narrow(), 0), word, false); break;
    case ZYDIS_MNEMONIC_LEAVE: add({.base = x86::rbp, .narrow = decoded.narrow()}, word, false); break;
    default: break;
    }
    follow(instruction);
}

void Sharing::add(const EffectiveAddress& address, unsigned size, bool writes) {
    if (added_ == most_accesses) {
        return;
    }
    Origin origin{.from_rip = address.from_rip};
    if (address.segment != EffectiveAddress::none) {
        origin.segment = base_of(address.segment);
    }
    if (address.bits != EffectiveAddress::none) {
        origin.bits = next_name_++;
    }
    auto offset = static_cast<std::uint64_t>(address.displacement);
    if (address.base != EffectiveAddress::none) {
        const Value& value = values_[static_cast<unsigned>(address.base)];
        origin.base = value.name;
        offset += value.offset;
    }
    if (address.index != EffectiveAddress::none) {
        const Value& value = values_[static_cast<unsigned>(address.index)];
        origin.index = value.name;
        origin.scale = address.scale;
        offset += value.offset * address.scale;
    }
    // The latest group of its kind: an earlier one was out of reach.
    auto group = groups_.size();
    while (group-- > 0 && !(origins_[group] == origin)) {
    }
    if (group >= groups_.size() || !extend(groups_[group], offset, size)) {
        group = groups_.size();
        groups_.push_back({offset, size, 0, false});
        origins_.push_back(origin);
    }
    AccessGroup& found = groups_[group];
    found.writes |= writes;
    ++found.accesses;
    (*current_)[added_++] = {static_cast<unsigned>(group), offset};
}

// What the instruction does to the values of registers.
void Sharing::follow(const TraceInstruction& instruction) {
    const Decoded& decoded = instruction.decoded;
    const ZydisDecodedOperand& first = decoded.operands[0];
    const bool whole = decoded.info.operand_count_visible > 0 && is_whole(first);
    const std::uint64_t word = decoded.word();
    std::optional<std::pair<unsigned, Value>> known;
    if (whole && added_constant(decoded)) {
        const unsigned guest = number_of(first.reg.value);
        known = {guest,
                 {values_[guest].name,
                  values_[guest].offset + static_cast<std::uint64_t>(*added_constant(decoded))}};
    } else if (whole && decoded.info.mnemonic == ZYDIS_MNEMONIC_MOV && is_whole(decoded.operands[1])) {
        known = {number_of(first.reg.value), values_[number_of(decoded.operands[1].reg.value)]};
    } else if (whole && decoded.info.mnemonic == ZYDIS_MNEMONIC_LEA && decoded.info.address_width == 64) {
        const EffectiveAddress address = address_of(decoded, decoded.operands[1], instruction.next_rip());
        if (address.base != EffectiveAddress::none && address.index == EffectiveAddress::none) {
            Value value = values_[static_cast<unsigned>(address.base)];
            value.offset += static_cast<std::uint64_t>(address.displacement);
            known = {number_of(first.reg.value), value};
        }
    } else if (copies_stack_pointer(decoded)) {
        known = {number_of(first.reg.value), values_[x86::rsp]};
    } else if (decoded.info.mnemonic == ZYDIS_MNEMONIC_PUSH && decoded.info.operand_width == word * 8) {
        known = {x86::rsp, {values_[x86::rsp].name, values_[x86::rsp].offset - word}};
    } else if (const auto moved = moved_by_branch(decoded)) {
        known = {x86::rsp, {values_[x86::rsp].name, values_[x86::rsp].offset + *moved}};
    } else if (decoded.info.mnemonic == ZYDIS_MNEMONIC_POP && is_word(decoded, first) &&
               number_of(first.reg.value) != x86::rsp) {
        forget(number_of(first.reg.value));
        known = {x86::rsp, {values_[x86::rsp].name, values_[x86::rsp].offset + word}};
        values_[x86::rsp] = known->second;
        return;
    }
    if (decoded.info.mnemonic == ZYDIS_MNEMONIC_WRFSBASE) {
        base_of(x86::fs) = next_name_++;
    } else if (decoded.info.mnemonic == ZYDIS_MNEMONIC_WRGSBASE ||
               decoded.info.mnemonic == ZYDIS_MNEMONIC_SWAPGS) {
        base_of(x86::gs) = next_name_++;
    }
    for (const ZydisDecodedOperand& operand : decoded.all()) {
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_written(operand) &&
            is_general(operand.reg.value)) {
            forget(number_of(operand.reg.value));
        }
    }
    if (known) {
        values_[known->first] = known->second;
    }
}

} // namespace strata::cpu::translator
