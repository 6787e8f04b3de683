// Task-state segments as they lie in memory. SDM volume 3 sections 7.2.1 and 7.6.
#pragma once

#include "cpu/interpreter/cpu.hpp"
#include "cpu/x86/descriptor.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace strata::cpu::interpreter {

// Where the fields are; all but the selectors have `word` bytes.
struct TssLayout {
    unsigned word; // 2 or 4
    std::uint32_t smallest_limit;
    std::uint32_t eip, eflags, gpr, selectors, ldt;
    unsigned selector_count;
};

[[nodiscard]] const TssLayout& tss_layout(const x86::Descriptor& tss);
[[nodiscard]] const TssLayout& tss_layout(const x86::Segment& tr);

// What a task switch loads.
struct TaskState {
    std::array<std::uint32_t, 8> gpr{};       // by x86::Register
    std::array<std::uint16_t, 6> selectors{}; // by x86::SegmentIndex
    std::uint32_t eip = 0, eflags = 0;
    std::uint16_t ldt = 0;
    std::optional<std::uint32_t> cr3; // a 16-bit TSS has none
    bool trap = false;                // #DB on entry
};

[[nodiscard]] TaskState read_tss(Cpu& cpu, std::uint64_t base, const TssLayout& layout);
// Saves the running task, with these flags.
void save_tss(Cpu& cpu, std::uint64_t base, const TssLayout& layout, std::uint64_t rflags);

} // namespace strata::cpu::interpreter
