// The code that all blocks share: the ways into and out of translated code.
#pragma once

#include "cpu/translator/assembler.hpp"
#include "cpu/translator/native_block.hpp"

namespace strata::cpu::translator {

// Writable addresses; distances from blocks to them are the same in the executable view.
struct Stubs {
    const std::uint8_t* enter = nullptr;     // void(interpreter::Cpu*): to NativeState::entry
    const std::uint8_t* leave = nullptr;     // jumped to: saves the guest's registers, returns from enter
    const std::uint8_t* exit_link = nullptr; // jumped to with R14 = Link*
    // Called with R14 = Site*: the interpreter carries out the instruction. Returns behind the call, or
    // leaves.
    const std::uint8_t* interpret = nullptr;
    const std::uint8_t* interpret_with_vectors = nullptr; // and has the vector registers loaded after
    // Called with R14 = Site*: loads the vector registers, or leaves in front of the instruction.
    const std::uint8_t* load_vectors = nullptr;
};

// `interpret` is called with the processor and the site, and returns whether to leave.
using InterpretFunction = std::uint64_t (*)(interpreter::Cpu*, const Site*);

[[nodiscard]] Stubs emit_stubs(Assembler& assembler, InterpretFunction interpret);

} // namespace strata::cpu::translator
