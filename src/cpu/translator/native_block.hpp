// A translated block, and what it leads to.
#pragma once

#include "cpu/interpreter/blocks.hpp"
#include "cpu/translator/regions.hpp"

#include <cstdint>
#include <deque>
#include <vector>

namespace strata::cpu::translator {

struct NativeBlock;

// One guest instruction as translated code hands it to the interpreter: because it was not translated, or
// because its memory is not to be had directly just now.
struct Site {
    const interpreter::Insn* insn = nullptr;
    std::uint64_t next_rip = 0;
    bool leaves = false; // nothing of the block follows
};

// A jump from one block to another whose address is known. Until it is linked it leads out of translated
// code.
struct Link {
    std::uint64_t target = 0;           // linear
    std::uint8_t* jump = nullptr;       // the 32-bit distance of the jump that is patched; null: never
    std::uint8_t* generation = nullptr; // into another page: the 32 bits that the generation is compared by
    const std::uint8_t* unlinked = nullptr; // where `jump` leads while it is not linked
    NativeBlock* owner = nullptr;
    NativeBlock* to = nullptr;
    bool vectors_loaded = false; // at the jump
    bool plain = false;          // to the same place, translated without shared checks
};

struct NativeBlock {
    std::uint64_t linear = 0; // the only address at which the code is right
    std::uint8_t* start = nullptr;
    std::uint8_t* start_with_vectors = nullptr; // for those who have loaded them
    std::uintptr_t entry = 0;                   // executable: of `start`
    bool user = false;
    bool uses_vectors = false;
    bool plain = false; // each access has a check of its own
    std::vector<interpreter::Insn> insns;
    std::vector<Site> sites;       // one an instruction
    std::deque<RegionUse> regions; // they stay where they are
    std::deque<Link> links;        // likewise
    std::vector<Link*> incoming;
    interpreter::Block* block = nullptr; // null once void
    NativeBlock* next = nullptr;         // of the same block, at another linear address
};

} // namespace strata::cpu::translator
