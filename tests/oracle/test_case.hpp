// A case: the processor's state before the tested instructions, and what came of it. Plain data: it travels
// through memory shared with the native process.
#pragma once

#include "layout.hpp"

#include <array>
#include <cstdint>

namespace strata::oracle {

struct Selectors {
    std::uint16_t es = 0, cs = 0, ss = 0, ds = 0, fs = 0, gs = 0; // in the order of x86::SegmentIndex

    bool operator==(const Selectors&) const = default;
};

struct Registers {
    std::array<std::uint64_t, 16> gpr{}; // by x86::Register
    std::uint64_t rip = 0;
    std::uint64_t rflags = 2;
    Selectors selectors{};
};

// The standard form of the XSAVE area, x87 to AVX (SDM volume 1 section 13.4).
struct alignas(64) XsaveArea {
    std::uint16_t fcw = 0x37F, fsw = 0;
    std::uint8_t tags = 0; // bit i: R(i) is in use
    std::uint8_t reserved0 = 0;
    std::uint16_t fop = 0;
    std::uint64_t fip = 0, fdp = 0;
    std::uint32_t mxcsr = 0x1F80, mxcsr_mask = 0;
    std::array<std::array<std::uint8_t, 16>, 8> st{}; // ST(0) first
    std::array<std::array<std::uint64_t, 2>, 16> xmm{};
    std::array<std::uint8_t, 96> available{};
    std::uint64_t xstate_bv = 7, xcomp_bv = 0;
    std::array<std::uint64_t, 6> reserved1{};
    std::array<std::array<std::uint64_t, 2>, 16> ymm_high{};
};

static_assert(sizeof(XsaveArea) == 832);

using VariableMemory = std::array<std::array<std::uint8_t, page>, variable_pages.size()>;

inline constexpr std::size_t max_code = 64;

struct TestCase {
    Registers registers{};
    XsaveArea fp{};
    std::array<std::uint8_t, max_code> code{}; // at registers' CS:RIP, between INT3s
    std::uint32_t code_size = 0;
    std::uint64_t code_address = 0;                                     // linear
    std::uint64_t fs_base = oracle::fs_base, gs_base = oracle::gs_base; // in 64-bit mode
    VariableMemory memory{};
};

// How a case ended.
enum class Ending : std::uint8_t {
    exception, // as every case should: an INT3 at least
    syscall,   // the code asked the kernel for something
    lost,      // it took the process with it, or never ended
};

struct Outcome {
    Ending ending = Ending::lost;
    std::uint8_t vector = 0;
    std::uint32_t error_code = 0;
    std::uint64_t cr2 = 0; // of a page fault
    Registers registers{};
    XsaveArea fp{};
    VariableMemory memory{};
};

// What the driver and the native process share.
inline constexpr std::size_t batch_size = 128;

struct Mailbox {
    std::uint32_t first, count; // the driver asks for inputs [first, count)
    std::uint32_t completed;    // outputs [first, completed) are there; written by the native process
    std::array<std::uint8_t, page> constant; // contents of the read-only page
    std::array<TestCase, batch_size> inputs;
    std::array<Outcome, batch_size> outputs;
};

// The descriptors that the native process inherits.
inline constexpr int mailbox_fd = 3, channel_fd = 4;

} // namespace strata::oracle
