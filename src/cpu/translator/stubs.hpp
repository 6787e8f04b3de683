// The code that all blocks share: the ways into and out of translated code.
#pragma once

#include "cpu/translator/assembler.hpp"
#include "cpu/translator/fast_strings.hpp"
#include "cpu/translator/native_block.hpp"

namespace strata::cpu::translator {

inline constexpr std::size_t most_bytes_of_stubs = 24 << 10;

// Writable addresses; distances from blocks to them are the same in the executable view.
struct Stubs {
    const std::uint8_t* enter = nullptr;     // void(interpreter::Cpu*): to NativeState::entry
    const std::uint8_t* leave = nullptr;     // jumped to: saves the guest's registers, returns from enter
    const std::uint8_t* exit_link = nullptr; // jumped to with R14 = Link*
    const std::uint8_t* signal = nullptr;    // likewise, where a signal waits: an interrupt is delivered
    // Called with R14 = Site*: the interpreter carries out the instruction. Returns behind the call, goes on
    // elsewhere in translated code, or leaves.
    const std::uint8_t* interpret = nullptr;
    const std::uint8_t* interpret_with_vectors = nullptr; // and has the vector registers loaded after
    // Called as `interpret` is, for SYSCALL in 64-bit user code and SYSRETQ (fast_system_calls.cpp).
    const std::uint8_t* system_call = nullptr;
    const std::uint8_t* system_return = nullptr;
    const std::uint8_t* interrupt_return = nullptr; // likewise, for IRETQ (fast_interrupt_return.cpp)
    StringStubs strings;

    // Whether it is called as `interpret` is.
    [[nodiscard]] bool carries_out(const std::uint8_t* stub) const {
        return stub == interpret || stub == interpret_with_vectors || stub == system_call ||
               stub == system_return || stub == interrupt_return || strings.contain(stub);
    }

    // Called: rDX and rAX become what RDTSC gives. Uses rCX, changes no flags; the vector registers and
    // the x87 unit may be in memory then.
    const std::uint8_t* time_stamp = nullptr;

    // Called with R14 = RIP: loads the vector registers, or leaves in front of that instruction. Where
    // instructions are counted, R15 = minus those of the trace that come before it.
    const std::uint8_t* load_vectors = nullptr;
    const std::uint8_t* load_x87 = nullptr; // likewise, the x87 unit

    // Called with rCX = linear address, R14 = RegionUse::number: if the TLB has the page, it fills the region
    // and returns rCX = 0, R14 = the addend. Uses R15; changes no flags.
    [[nodiscard]] const std::uint8_t* fill_region(const RegionUse& use) const {
        return fill_regions[use.narrow][static_cast<unsigned>(use.view)][use.writes];
    }

    std::array<std::array<std::array<const std::uint8_t*, 2>, 4>, 2> fill_regions{};
    // Called when fill_region has not helped, for a region that accesses share: C++ walks the page tables.
    // Returns rCX = 0 if the region holds the access now. Changes no flags.
    const std::uint8_t* walk_region = nullptr;
};

// What stubs call in C++.
struct Services {
    // Where translated code goes on, or one of the constants below.
    std::uint64_t (*interpret)(interpreter::Cpu*, const Site*);
    // The signal that was seen in front of the link's target. Where translated code goes on, or
    // leave_translated_code, with NativeState::exit_link set.
    std::uint64_t (*take_signal)(interpreter::Cpu*, Link*);
    // Of the region by its number.
    std::uint64_t (*grow_region)(interpreter::Cpu*, std::uint64_t); // returns the addend
    std::uint64_t (*walk_region)(interpreter::Cpu*, std::uint64_t); // returns 0 if it holds the access
    std::uint64_t (*time_stamp)(interpreter::Cpu*);
    // Makes X87Unit::image of FpState, if that is not older.
    std::uint64_t (*load_x87)(interpreter::Cpu*, std::uint64_t);
};

inline constexpr std::uint64_t go_on_behind = 0, leave_translated_code = 1;

// Where the stubs of fast_system_calls.cpp go on: as a call of Stubs::interpret does; out of translated code.
struct FastCallExits {
    const std::uint8_t* interpret;
    const std::uint8_t* leave;
};

void emit_fast_calls(Assembler& assembler, const FastCallExits& exits, Stubs& stubs);

[[nodiscard]] const std::uint8_t* emit_interrupt_return(Assembler& assembler, const FastCallExits& exits);

[[nodiscard]] Stubs emit_stubs(Assembler& assembler, const Services& services);

} // namespace strata::cpu::translator
