// A program of classic BPF for seccomp, made from its end to its beginning: all jumps go forward, so that
// where one leads to is there when the jump is made.
#pragma once

#include <cstdint>
#include <linux/filter.h>
#include <map>
#include <vector>

namespace strata::container {

class BpfProgram {
public:
    // An instruction, by its distance from the end.
    using Place = std::size_t;

    // Ends the program with this SECCOMP_RET_ value. Each value is there once.
    Place result(std::uint32_t value) {
        const auto [known, is_new] = results_.try_emplace(value, 0);
        if (is_new) {
            known->second = add(BPF_RET | BPF_K, value);
        }
        return known->second;
    }

    // Loads 32 bits of struct seccomp_data; goes on with `next`.
    Place load(std::uint32_t offset, Place next) {
        go_on_with(next);
        return add(BPF_LD | BPF_W | BPF_ABS, offset);
    }

    Place mask(std::uint32_t bits, Place next) {
        go_on_with(next);
        return add(BPF_ALU | BPF_AND | BPF_K, bits);
    }

    // `comparison` is BPF_JEQ, BPF_JGT or BPF_JGE, of what was loaded with `value`.
    Place branch(std::uint16_t comparison, std::uint32_t value, Place yes, Place no) {
        // A branch reaches 255 instructions; farther ones are jumped to.
        constexpr std::size_t reach = 250;
        if (places() - no > reach) {
            no = jump(no);
        }
        if (places() - yes > reach) {
            yes = jump(yes);
        }
        const Place here = add(BPF_JMP | comparison | BPF_K, value);
        reversed_.back().jt = static_cast<std::uint8_t>(here - yes - 1);
        reversed_.back().jf = static_cast<std::uint8_t>(here - no - 1);
        return here;
    }

    // In the kernel's order; the last instruction that was made is the first.
    [[nodiscard]] std::vector<sock_filter> instructions() const {
        return {reversed_.rbegin(), reversed_.rend()};
    }

private:
    [[nodiscard]] std::size_t places() const { return reversed_.size(); }

    Place add(std::uint16_t code, std::uint32_t value) {
        reversed_.push_back({.code = code, .jt = 0, .jf = 0, .k = value});
        return places() - 1;
    }

    Place jump(Place to) { return add(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(places() - to - 1)); }

    void go_on_with(Place next) {
        if (next + 1 != places()) {
            jump(next);
        }
    }

    std::vector<sock_filter> reversed_;
    std::map<std::uint32_t, Place> results_;
};

} // namespace strata::container
