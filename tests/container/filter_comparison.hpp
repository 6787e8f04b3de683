// Filters of both compilers, run on calls of all kinds: they must agree on each.
#pragma once

#include "container/process/general_filter.hpp"
#include "container/process/plain_filter.hpp"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <span>
#include <vector>

namespace strata::container {

inline std::uint32_t jump(const sock_filter& step, bool yes) { return yes ? step.jt : step.jf; }

// What the kernel would do with the call.
inline std::uint32_t run(const std::vector<sock_filter>& program, const seccomp_data& call) {
    std::uint32_t value = 0;
    for (std::size_t at = 0; at < program.size(); ++at) {
        const auto& step = program[at];
        switch (step.code) {
        case BPF_RET | BPF_K: return step.k;
        case BPF_LD | BPF_W | BPF_ABS:
            std::memcpy(&value, reinterpret_cast<const char*>(&call) + step.k, sizeof value);
            break;
        case BPF_ALU | BPF_AND | BPF_K: value &= step.k; break;
        case BPF_JMP | BPF_JA: at += step.k; break;
        case BPF_JMP | BPF_JEQ | BPF_K: at += jump(step, value == step.k); break;
        case BPF_JMP | BPF_JGT | BPF_K: at += jump(step, value > step.k); break;
        case BPF_JMP | BPF_JGE | BPF_K: at += jump(step, value >= step.k); break;
        default: ADD_FAILURE() << "instruction " << step.code; return 0;
        }
    }
    ADD_FAILURE() << "the program has no end";
    return 0;
}

// The numbers of all calls, and what is near the ends of the ranges.
inline constexpr std::uint32_t most_calls = 512;
inline constexpr std::array<std::uint32_t, 5> bases{0, 0x40000000 - 256, 0x40000000, 0x80000000,
                                                    0U - most_calls};
inline constexpr std::array<std::uint32_t, 3> machines{AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,
                                                       AUDIT_ARCH_AARCH64};

inline void expect_same(const Seccomp& seccomp, std::span<const std::uint64_t> values) {
    const auto plain = compile_plain_filter(seccomp);
    const auto general = compile_general_filter(seccomp);
    ASSERT_TRUE(plain);
    ASSERT_TRUE(general) << general.error().message;
    for (const auto machine : machines) {
        for (const auto base : bases) {
            for (std::uint32_t i = 0; i < most_calls; ++i) {
                for (const auto value : values) {
                    const seccomp_data call{.nr = static_cast<int>(base + i),
                                            .arch = machine,
                                            .instruction_pointer = 0,
                                            .args = {value, value, ~value, 0, value, value}};
                    ASSERT_EQ(run(*plain, call), run(*general, call))
                        << std::hex << machine << " " << base + i << " " << value;
                }
            }
        }
    }
}

} // namespace strata::container
