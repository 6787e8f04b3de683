// A translated block, and what it leads to.
#pragma once

#include "cpu/interpreter/blocks.hpp"
#include "cpu/interpreter/code_mode.hpp"
#include "cpu/translator/regions.hpp"

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

namespace strata::cpu::translator {

struct NativeBlock;

// One guest instruction as translated code hands it to the interpreter: because it was not translated, or
// because its memory is not to be had directly just now.
struct Site {
    const interpreter::Insn* insn = nullptr;
    std::uint64_t next_rip = 0;
    bool leaves = false;        // nothing of the block follows
    std::uint16_t mnemonic = 0; // ZydisMnemonic, for Statistics
    std::uint16_t before = 0;   // instructions of the trace
};

// A jump from one block to another whose address is known. Until it is linked it leads out of translated
// code.
struct Link {
    std::uint64_t target = 0;        // linear
    std::uint8_t* jump = nullptr;    // the 32-bit distance of the jump that is patched; null: never
    std::uint8_t* page_id = nullptr; // into another page: the 32 bits that the page's id is compared by
    const std::uint8_t* unlinked = nullptr; // where `jump` leads while it is not linked
    NativeBlock* owner = nullptr;
    NativeBlock* to = nullptr;
    bool vectors_loaded = false; // at the jump
    bool plain = false;          // to the same place, translated without shared checks
    bool polls = false;          // where a signal was seen, or that time is up
};

struct NativeBlock {
    std::uint64_t linear = 0;                   // the only address at which the code is right
    std::uint8_t* start = nullptr;              // for who knows that `linear` leads here
    std::uint8_t* start_with_vectors = nullptr; // and has loaded them
    std::uint8_t* entry = nullptr;              // for who does not know: looks at the page's id first
    std::uint32_t page_id = 0;        // of `linear`'s page and the physical one: interpreter::FetchSet
    std::uint32_t second_page_id = 0; // likewise of the next page, if its one instruction reaches there
    interpreter::DataView view = interpreter::DataView::supervisor;
    bool user = false;
    bool narrow = false; // 32-bit code, with flat segments
    bool uses_vectors = false;
    bool uses_x87 = false;
    bool plain = false; // each access has a check of its own
    std::vector<interpreter::Insn> insns;
    std::vector<Site> sites;       // one an instruction
    std::deque<RegionUse> regions; // they stay where they are
    std::deque<Link> links;        // likewise
    std::vector<Link*> incoming;
    interpreter::Block* block = nullptr;   // null once void
    std::vector<interpreter::Block*> path; // the others that it goes through, if it follows a path
    NativeBlock* next = nullptr;           // of the same block, at another linear address
};

// Into the displacement of the LEA that compares a page's id.
inline void store_page_id(std::uint8_t* at, std::uint32_t id) {
    const std::uint32_t negative = std::uint32_t{0} - id;
    std::memcpy(at, &negative, sizeof negative);
}

} // namespace strata::cpu::translator
