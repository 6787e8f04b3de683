// The x87 unit (and with it the MMX registers) of the guest, whose instructions run on the host's: where its
// state is, and what of it the host's does not know, since there it is the host code that runs.
#pragma once

#include "cpu/x86/state.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace strata::cpu::translator {

struct Site;

// What FNSAVE stores, and FRSTOR loads, in 64-bit code without REX.W.
struct X87Image {
    static constexpr std::size_t size = 108;

    std::array<std::uint8_t, size> bytes{};

    // The registers in the order of the stack, the tags in full. Pointers are not the guest's.
    void store_to(x86::FpState& fp) const;
    void load_from(const x86::FpState& fp);
};

struct X87Unit {
    // Where the state is: in the host's unit, in FpState, or in `image`, from where FpState has it as soon as
    // C++ looks. Translated code compares with the first alone.
    enum Place : std::uint32_t { in_unit, in_state, in_image };

    static constexpr std::uint32_t no_operand = ~std::uint32_t{0};

    // Into FpState, what is not there yet.
    void settle(x86::FpState& fp, const x86::SystemState& system);

    // Its instructions are the interpreter's while there is no unit for the guest (CR0), an exception is not
    // masked, or one is to be reported.
    void look_at(const x86::FpState& fp, const x86::SystemState& system);

    std::uint32_t place = in_state;
    std::uint32_t unusable = 0;
    // Since FpState was settled: the last instruction of which there is a record (FIP, FCS, FOP), or null;
    // and the last one with an operand in memory (FDP, FDS): address, and the number of its segment.
    const Site* last = nullptr;
    std::uint64_t operand = 0;
    std::uint32_t operand_segment = no_operand;
    std::uint64_t exception_masks = 0x3F; // of a control word
    std::uint64_t control_mask = 0x1F00;  // all else that there is in it
    // Control words that mask all exceptions, by that: FLDCW's operands, whatever the guest's is.
    std::array<std::uint64_t, 32> control_words = all_masked();
    X87Image image;

private:
    static constexpr std::array<std::uint64_t, 32> all_masked() {
        std::array<std::uint64_t, 32> words{};
        for (std::size_t i = 0; i < words.size(); ++i) {
            words[i] = i << 8 | 0x7F;
        }
        return words;
    }
};

} // namespace strata::cpu::translator
