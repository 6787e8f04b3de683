// A case: what two engines made something different of, in a form that needs no machine. The processor's
// state when both were alike, the memory that they needed from there on, and what came from outside. As text,
// it is read by people, by `strata debug reduce`, and by a test.
#pragma once

#include "base/error.hpp"
#include "cpu/engine.hpp"
#include "cpu/lockstep/stretch.hpp"
#include "cpu/x86/model.hpp"
#include "cpu/x86/state.hpp"
#include "memory/guest_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace strata::cpu::lockstep {

using Page = std::array<std::byte, memory::page_size>;

struct Case {
    x86::Model model{};
    std::uint64_t tsc_hz = 1'000'000'000;
    std::uint64_t memory_size = 0, low_memory = 0; // as GuestMemory::create() takes them
    std::uint64_t instructions = 0;                // so far it is, about, until they differ
    x86::State state{};
    Stretch stretch{};
    std::map<memory::GuestPhysical, Page> pages{}; // the rest of memory is 0

    [[nodiscard]] VcpuConfig config() const { return {.model = &model, .tsc_hz = tsc_hz}; }

    [[nodiscard]] Result<std::unique_ptr<memory::GuestMemory>> make_memory() const;
};

// One thing a line: "rax 0x1f", only what is not as after a reset; "page 0x3000" and below it the words that
// are not 0. What follows a # is a comment.
[[nodiscard]] std::string case_text(const Case& given);
[[nodiscard]] Result<Case> parse_case(std::string_view text);

} // namespace strata::cpu::lockstep
