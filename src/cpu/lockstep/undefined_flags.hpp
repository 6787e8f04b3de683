// Which arithmetic flags are undefined after a run of instructions, by what the manuals say of each.
#pragma once

#include "cpu/x86/registers.hpp"

#include <Zydis/Zydis.h>
#include <cstdint>

namespace strata::cpu::lockstep {

class UndefinedFlags {
public:
    void executed(const ZydisDecodedInstruction& instruction) {
        if (loads_image(instruction.mnemonic)) {
            bits_ = x86::flag::arithmetic; // they may have been undefined when they were stored
            return;
        }
        if (instruction.cpu_flags == nullptr) {
            return;
        }
        const auto& effect = *instruction.cpu_flags;
        // A shift by 0 or a repetition that does not happen leaves the flags as they were.
        const bool repeated = (instruction.attributes &
                               (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) != 0;
        if (effect.undefined == 0 && !repeated) {
            bits_ &= ~std::uint64_t{effect.modified | effect.set_0 | effect.set_1};
        }
        bits_ |= effect.undefined & x86::flag::arithmetic;
    }

    [[nodiscard]] std::uint64_t bits() const { return bits_; }

private:
    static bool loads_image(ZydisMnemonic mnemonic) {
        switch (mnemonic) {
        case ZYDIS_MNEMONIC_IRET:
        case ZYDIS_MNEMONIC_IRETD:
        case ZYDIS_MNEMONIC_IRETQ:
        case ZYDIS_MNEMONIC_POPF:
        case ZYDIS_MNEMONIC_POPFD:
        case ZYDIS_MNEMONIC_POPFQ:
        case ZYDIS_MNEMONIC_SAHF:
        case ZYDIS_MNEMONIC_SYSRET: return true;
        default: return false;
        }
    }

    std::uint64_t bits_ = x86::flag::arithmetic; // nothing is known of what was before
};

} // namespace strata::cpu::lockstep
