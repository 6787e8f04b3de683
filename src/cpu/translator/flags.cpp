#include "cpu/translator/flags.hpp"

namespace strata::cpu::translator {

namespace {

constexpr FlagSet both{true, true};

FlagSet of_bits(ZydisAccessedFlagsMask bits) {
    return {(bits & ZYDIS_CPUFLAG_CF) != 0, (bits & ZYDIS_CPUFLAG_OF) != 0};
}

// A count of 0 leaves all flags as they are.
bool shifts(const ZydisDecodedInstruction& info) {
    return info.meta.category == ZYDIS_CATEGORY_SHIFT || info.meta.category == ZYDIS_CATEGORY_ROTATE;
}

// As Zydis 4.0 has it, VEX's tests leave OF alone.
bool clears_overflow_unknown_to_zydis(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_VPTEST || mnemonic == ZYDIS_MNEMONIC_VTESTPS ||
           mnemonic == ZYDIS_MNEMONIC_VTESTPD;
}

// By an immediate count or by one.
bool shifts_surely(const Decoded& decoded) {
    for (const ZydisDecodedOperand& operand : decoded.all()) {
        if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            const unsigned mask = decoded.info.operand_width == 64 ? 63 : 31;
            return (operand.imm.value.u & mask) != 0;
        }
    }
    return false;
}

} // namespace

FlagEffects flag_effects(const TraceInstruction& instruction) {
    if (!instruction.known) {
        return {both, {}};
    }
    const Decoded& decoded = instruction.decoded;
    const ZydisAccessedFlags* flags = decoded.info.cpu_flags;
    if (clears_overflow_unknown_to_zydis(decoded.info.mnemonic)) {
        return {{}, both};
    }
    if (flags == nullptr) {
        return {};
    }
    const ZydisAccessedFlagsMask written = flags->modified | flags->set_0 | flags->set_1;
    const FlagSet reads = of_bits(flags->tested);
    if (shifts(decoded.info) && !shifts_surely(decoded)) {
        const FlagSet kept = of_bits(written | flags->undefined);
        return {{reads.cf || kept.cf, reads.of || kept.of}, {}};
    }
    // What is undefined may be kept.
    const FlagSet undefined = of_bits(flags->undefined);
    return {{reads.cf || undefined.cf, reads.of || undefined.of}, of_bits(written & ~flags->undefined)};
}

Borrowed flag_to_borrow(std::span<const TraceInstruction> rest) {
    FlagSet candidates = both;
    for (const TraceInstruction& instruction : rest) {
        const FlagEffects effects = flag_effects(instruction);
        candidates.cf = candidates.cf && !effects.needs.cf;
        candidates.of = candidates.of && !effects.needs.of;
        if (!candidates.cf || !candidates.of) {
            break;
        }
        if (effects.overwrites.cf != effects.overwrites.of) {
            return effects.overwrites.cf ? Borrowed::cf : Borrowed::of;
        }
        if (effects.overwrites.cf) {
            break;
        }
    }
    return candidates.cf && !candidates.of ? Borrowed::cf : Borrowed::of;
}

} // namespace strata::cpu::translator
