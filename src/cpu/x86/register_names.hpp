// The general registers' names in 64-bit code, by number (SDM volume 2 table 2-4).
#pragma once

#include <array>
#include <string_view>

namespace strata::cpu::x86 {

inline constexpr std::array<std::string_view, 16> register_names{"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                                 "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                                 "r12", "r13", "r14", "r15"};

} // namespace strata::cpu::x86
