#include "region_checks.hpp"

#include "base/thread_time.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>
#include <xbyak/xbyak.h>

namespace bench {
namespace {

constexpr std::uint64_t buffer_size = 16 << 10, accesses_a_round = 8, spread = 512;

// As translated code has them beside the stack pointer.
struct Region {
    std::uint64_t minus_base, minus_limit, addend;
};

struct State {
    std::array<Region, accesses_a_round> regions;
    std::uint64_t minus_one = ~std::uint64_t{0};
    std::uint64_t borrowed = 0;
};

enum class Check : std::uint8_t { none, kept_flag, own_flag };

// void loop(State*, uint64_t rounds). Guest addresses are in R12 and begin with 0.
class Loop : public Xbyak::CodeGenerator {
public:
    Loop(Check check, bool chases) {
        Xbyak::Label again;
        const std::array saved{rbx, r12, r13, r14, r15};
        for (const auto& reg : saved) {
            push(reg);
        }
        mov(rbx, rdi);
        xor_(r12, r12);
        mov(r14, ptr[rbx + offsetof(State, regions) + offsetof(Region, addend)]);
        align(32);
        L(again);
        for (unsigned i = 0; i < accesses_a_round; ++i) {
            const int offset = chases ? 0 : static_cast<int>(i * spread);
            check_access(check, static_cast<int>(i * sizeof(Region)), offset);
            if (chases) {
                mov(r12, ptr[r12 + r14]);
            } else {
                add(rdx, ptr[r12 + r14 + offset]);
            }
            if (check == Check::own_flag) {
                movzx(r15d, byte[rbx + offsetof(State, borrowed)]);
                adox(r15d, dword[rbx + offsetof(State, minus_one)]);
            }
        }
        if (!chases) {
            add(r12, 8);
            and_(r12d, static_cast<std::uint32_t>(buffer_size / 2 - 1));
        }
        dec(rsi);
        jnz(again, T_NEAR);
        L(slow_);
        for (auto reg = saved.rbegin(); reg != saved.rend(); ++reg) {
            pop(*reg);
        }
        ret();
    }

private:
    void check_access(Check check, int region, int offset) {
        if (check == Check::none) {
            return;
        }
        if (check == Check::own_flag) {
            seto(byte[rbx + offsetof(State, borrowed)]);
        }
        mov(rcx, ptr[rbx + region + offsetof(Region, minus_base)]);
        lea(rcx, ptr[rcx + r12 + offset]);
        adox(rcx, ptr[rbx + region + offsetof(Region, minus_limit)]);
        jo(slow_, T_NEAR);
        mov(r14, ptr[rbx + region + offsetof(Region, addend)]);
    }

    Xbyak::Label slow_;
};

double nanoseconds_an_access(Check check, bool chases, State& state) {
    constexpr std::uint64_t rounds = 2'000'000;
    const Loop loop(check, chases);
    const auto run = loop.getCode<void (*)(State*, std::uint64_t)>();
    double least = 1e9;
    for (unsigned i = 0; i < 9; ++i) {
        const auto begin = strata::thread_time();
        run(&state, rounds);
        const std::chrono::duration<double, std::nano> took = strata::thread_time() - begin;
        least = std::min(least, took.count() / (rounds * accesses_a_round));
    }
    return least;
}

AccessCosts costs(bool chases) {
    constexpr std::size_t count = buffer_size / sizeof(std::uint64_t);
    std::vector<std::uint64_t> buffer(count);
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin() + 1, order.end(), std::mt19937_64(1));
    for (std::size_t i = 0; i < count; ++i) { // one ring of all
        buffer[order[i]] = order[(i + 1) % count] * sizeof(std::uint64_t);
    }
    State state;
    state.regions.fill({.minus_base = 0,
                        .minus_limit = 0 - (buffer_size - sizeof(std::uint64_t) + 2),
                        .addend = reinterpret_cast<std::uintptr_t>(buffer.data())});
    return {.plain = nanoseconds_an_access(Check::none, chases, state),
            .checked = nanoseconds_an_access(Check::kept_flag, chases, state),
            .borrowed = nanoseconds_an_access(Check::own_flag, chases, state)};
}

} // namespace

AccessCosts cost_of_stream() { return costs(false); }

AccessCosts cost_of_chase() { return costs(true); }

} // namespace bench
