// What translated code reaches through its stack pointer: a little stack, above it the processor, above that
// what only translated code needs. While it runs, the host's rSP is the address of `cpu`; the stack below is
// for calls of the stubs and for the host's signals.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/translator/fast_interrupt_return.hpp"
#include "cpu/translator/fast_system_calls.hpp"
#include "cpu/translator/regions.hpp"
#include "cpu/translator/x87_unit.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace strata::cpu::translator {

// Where control may go next, by linear address. What is there looks itself whether its page is still where it
// was (NativeBlock::entry).
class JumpCache {
public:
    static constexpr unsigned size = 65536;

    JumpCache() { empty_all(); }

    // 0: not known.
    [[nodiscard]] std::uintptr_t find(std::uint64_t linear) const {
        const unsigned place = index(linear);
        return tags[place] == std::uint64_t{0} - linear ? targets[place] : 0;
    }

    void insert(std::uint64_t linear, std::uintptr_t target) {
        const unsigned place = index(linear);
        tags[place] = std::uint64_t{0} - linear;
        targets[place] = target;
        if (filled_.size() < size) { // else clear() goes through all
            filled_.push_back(static_cast<std::uint16_t>(place));
        }
    }

    void remove(std::uint64_t linear) {
        const unsigned place = index(linear);
        if (tags[place] == std::uint64_t{0} - linear) {
            tags[place] = empty_tag(place);
        }
    }

    void clear() {
        if (filled_.size() < size) {
            for (const std::uint16_t place : filled_) {
                tags[place] = empty_tag(place);
            }
        } else {
            empty_all();
        }
        filled_.clear();
    }

    // Minus the address, so that a hit adds up to 0 and flags stay.
    std::array<std::uint64_t, size> tags;
    std::array<std::uint64_t, size> targets{}; // executable addresses

private:
    void empty_all() {
        for (unsigned i = 0; i < size; ++i) {
            tags[i] = empty_tag(i);
        }
    }

    static unsigned index(std::uint64_t linear) { return linear % size; }

    // Of an address that belongs elsewhere.
    static std::uint64_t empty_tag(unsigned place) { return place == 0 ? 1 : 0; }

    std::vector<std::uint16_t> filled_;
};

struct NativeState {
    std::uint64_t host_rsp = 0;
    std::uint64_t entry = 0;     // where entering goes
    std::uint64_t resume = 0;    // where a stub returns to
    std::uint64_t exit_link = 0; // the Link by which translated code was left, or 0: RIP is set
    std::uint64_t target = 0;    // of an indirect call under way
    std::uint64_t operand = 0;   // what is to be pushed
    std::uint64_t index_mask = std::uint64_t{interpreter::TlbSet::size - 1} << memory::page_shift;
    std::uint64_t page_mask = ~(memory::page_size - 1);
    std::uint64_t jump_mask = JumpCache::size - 1;
    std::uint64_t all_but_if = ~x86::flag::if_;
    std::uint64_t all_but_df = ~x86::flag::df;
    std::uint64_t all_but_interrupt = ~std::uint64_t{Signals::interrupt};
    std::uint64_t arithmetic_flags = x86::flag::arithmetic;
    std::uint64_t upper_half = ~std::uint64_t{0} << 32;
    std::array<std::uint64_t, 3> bit_numbers{15, 31, 63}; // of elements of 2, 4 and 8 bytes
    std::array<std::uint32_t, 2> limited{}; // FS, GS: 1 if 32-bit code must not access all by it
    std::uint32_t vectors_in_memory = 1;    // 0: the host's vector registers hold the guest's
    std::uint32_t vectors_unusable = 0;     // SIMD exceptions are unmasked: the interpreter's work
    std::uint32_t time_stamp_refused = 0;   // RDTSC to programs: CR4.TSD is set
    std::uint32_t bases_unusable = 0;       // RDFSBASE and its kin are: CR4.FSGSBASE is clear
    std::uint32_t flags = 0;                // AH as of LAHF, AL: OF
    std::uint32_t borrowed = 0;             // a byte: the flag that checks have borrowed
    std::uint32_t minus_one = ~0U, minus_two = ~1U;
    std::uint64_t remaining = 0; // instructions until time is to be looked at, if those are counted
    // The region that was missed, and the linear address. Regions::none: it was filled since.
    std::uint64_t missed = Regions::none, missed_at = 0;
    FastSystemCalls system_calls;
    FastInterruptReturns interrupt_returns;
    X87Unit x87;
    std::array<std::uint64_t, 2> scratch{};  // of stubs
    std::array<std::uint64_t, 8> pointers{}; // host addresses of what a trace has checked
    std::array<std::uint64_t, 16> kept{};    // host registers around calls of C++ that want no guest's
    std::array<JumpCache, 4> jumps;          // by DataView, which translated code has built in
    Regions regions;
};

struct alignas(64) Frame {
    Frame(interpreter::Shared& shared, const VcpuConfig& config, Bus& bus) : cpu(shared, config, bus) {}

    std::array<std::byte, 64 << 10> stack; // not initialized: most of it is never touched
    interpreter::Cpu cpu;
    NativeState native;
};

} // namespace strata::cpu::translator
