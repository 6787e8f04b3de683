// String instructions: MOVS, CMPS, STOS, LODS, SCAS, with repeat prefixes. SDM volume 2; volume 1
// section 7.3.9. A repeated instruction is done a run of pages at a time; between runs it lets events in,
// with its registers up to date.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

#include <algorithm>
#include <cstring>
#include <emmintrin.h>
#include <limits>

namespace strata::cpu::interpreter {

namespace {

// T is the element, A an index register's width.

template <class T>
std::uint64_t element_step(const Cpu& cpu) {
    return cpu.other_flags & x86::flag::df ? std::uint64_t{0} - sizeof(T) : sizeof(T);
}

// An index that does not move keeps what is above its width.
template <class A>
void advance(Cpu& cpu, unsigned index, std::uint64_t distance) {
    if (distance != 0) {
        cpu.set_reg<A>(index, static_cast<A>(cpu.reg<A>(index) + distance));
    }
}

template <class A>
void advance_both(Cpu& cpu, std::uint64_t distance) {
    advance<A>(cpu, x86::rsi, distance);
    advance<A>(cpu, x86::rdi, distance);
}

constexpr std::uint64_t longest_run = 1 << 20;    // in bytes: events wait for so much
constexpr std::uint64_t longest_comparison = 256; // in elements: most end soon

// Memory for up to `count` elements at an index register that can be worked on directly, forwards.
template <class T, class A>
std::span<std::byte> run_at(Cpu& cpu, unsigned segment, unsigned index, Access access, std::uint64_t count) {
    const A offset = cpu.reg<A>(index);
    const std::uint64_t most = count < longest_run / sizeof(T) ? count * sizeof(T) : longest_run;
    const std::span<std::byte> bytes = cpu.direct(segment, offset, access, most);
    const std::uint64_t to_wrap = std::uint64_t{std::numeric_limits<A>::max()} - offset;
    return bytes.first(std::min<std::uint64_t>(bytes.size(), to_wrap) / sizeof(T) * sizeof(T));
}

bool backwards(const Cpu& cpu) { return cpu.other_flags & x86::flag::df; }

template <class T>
T element(const std::byte* from) {
    return load_host<T>(reinterpret_cast<std::uintptr_t>(from));
}

// More than this is written past the caches, as processors do: pages one by one, which are all that is
// contiguous here, would not be enough for them to see it.
constexpr std::uint64_t least_streamed = 1 << 20; // in bytes

// `to` holds whole elements.
template <class T>
void fill(std::span<std::byte> to, T value) {
    const auto first = static_cast<std::uint8_t>(value);
    if (value == static_cast<T>(first * (static_cast<T>(~T{0}) / 0xFF))) { // as kernels clear pages, by bytes
        memory::fill_guest(to.data(), first, to.size());
        return;
    }
    for (std::size_t at = 0; at < to.size(); at += sizeof(T)) {
        store_host(reinterpret_cast<std::uintptr_t>(to.data() + at), value);
    }
}

// Likewise, but for lines of the caches that are not begun or not ended.
template <class T>
void fill_past_caches(std::span<std::byte> to, T value) {
    constexpr std::size_t line = 64;
    const std::size_t before = (line - reinterpret_cast<std::uintptr_t>(to.data()) % line) % line;
    if (before % sizeof(T) != 0 || to.size() < before + line) {
        fill(to, value);
        return;
    }
    fill(to.first(before), value);
    to = to.subspan(before);
    const std::span<std::byte> lines = to.first(to.size() / line * line);
    const __m128i values =
        _mm_set1_epi64x(static_cast<std::int64_t>(value * (~std::uint64_t{0} / static_cast<T>(~T{0}))));
    for (std::size_t at = 0; at < lines.size(); at += line) {
        auto* const parts = reinterpret_cast<__m128i*>(lines.data() + at);
        _mm_stream_si128(parts, values);
        _mm_stream_si128(parts + 1, values);
        _mm_stream_si128(parts + 2, values);
        _mm_stream_si128(parts + 3, values);
    }
    fill(to.subspan(lines.size()), value);
    _mm_sfence();
}

// Each operation has one(), a single element, and many(), as many of `count` elements as can be done directly
// (0: do one). Comparisons stop behind the element that ends a repetition.

struct Movs {
    static constexpr bool compares = false;

    template <class T, class A>
    static void one(Cpu& cpu, const Insn& insn) {
        cpu.store<T>(x86::es, cpu.reg<A>(x86::rdi), cpu.load<T>(insn.segment, cpu.reg<A>(x86::rsi)));
        advance_both<A>(cpu, element_step<T>(cpu));
    }

    template <class T, class A>
    static std::uint64_t many(Cpu& cpu, const Insn& insn, std::uint64_t count) {
        const auto from = run_at<T, A>(cpu, insn.segment, x86::rsi, Access::read, count);
        const auto to = run_at<T, A>(cpu, x86::es, x86::rdi, Access::write, count);
        const std::uint64_t done = std::min(count, std::min(from.size(), to.size()) / sizeof(T));
        if (done == 0) {
            return 0;
        }
        const std::uint64_t bytes = done * sizeof(T);
        const auto distance =
            reinterpret_cast<std::uintptr_t>(to.data()) - reinterpret_cast<std::uintptr_t>(from.data());
        if (distance >= bytes) {
            memory::move_within_guest(to.data(), from.data(), bytes);
        } else { // the destination overlaps what is still to be read: elements repeat
            for (std::uint64_t at = 0; at < bytes; at += sizeof(T)) {
                store_host(reinterpret_cast<std::uintptr_t>(to.data() + at), element<T>(from.data() + at));
            }
        }
        advance_both<A>(cpu, bytes);
        return done;
    }
};

struct Stos {
    static constexpr bool compares = false;

    template <class T, class A>
    static void one(Cpu& cpu, const Insn&) {
        cpu.store<T>(x86::es, cpu.reg<A>(x86::rdi), cpu.reg<T>(x86::rax));
        advance<A>(cpu, x86::rdi, element_step<T>(cpu));
    }

    template <class T, class A>
    static std::uint64_t many(Cpu& cpu, const Insn&, std::uint64_t count) {
        const auto to = run_at<T, A>(cpu, x86::es, x86::rdi, Access::write, count);
        const std::uint64_t done = std::min(count, to.size() / sizeof(T));
        if (done == 0) {
            return 0;
        }
        const T value = cpu.reg<T>(x86::rax);
        if (count >= least_streamed / sizeof(T)) {
            fill_past_caches(to.first(done * sizeof(T)), value);
        } else {
            fill(to.first(done * sizeof(T)), value);
        }
        advance<A>(cpu, x86::rdi, done * sizeof(T));
        return done;
    }
};

struct Lods {
    static constexpr bool compares = false;

    template <class T, class A>
    static void one(Cpu& cpu, const Insn& insn) {
        cpu.set_reg<T>(x86::rax, cpu.load<T>(insn.segment, cpu.reg<A>(x86::rsi)));
        advance<A>(cpu, x86::rsi, element_step<T>(cpu));
    }

    template <class T, class A>
    static std::uint64_t many(Cpu&, const Insn&, std::uint64_t) {
        return 0;
    }
};

bool repeats(const Insn& insn, bool equal) { return equal == (insn.rep == 1); }

struct Scas {
    static constexpr bool compares = true;

    template <class T>
    static void compare(Cpu& cpu, T memory) {
        const T accumulator = cpu.reg<T>(x86::rax);
        cpu.flags.set_sub(accumulator, memory, static_cast<T>(accumulator - memory));
    }

    template <class T, class A>
    static void one(Cpu& cpu, const Insn&) {
        compare(cpu, cpu.load<T>(x86::es, cpu.reg<A>(x86::rdi)));
        advance<A>(cpu, x86::rdi, element_step<T>(cpu));
    }

    template <class T, class A>
    static std::uint64_t many(Cpu& cpu, const Insn& insn, std::uint64_t count) {
        const auto at =
            run_at<T, A>(cpu, x86::es, x86::rdi, Access::read, std::min(count, longest_comparison));
        const std::uint64_t most = std::min(count, at.size() / sizeof(T));
        if (most == 0) {
            return 0;
        }
        const T wanted = cpu.reg<T>(x86::rax);
        std::uint64_t done = 1;
        while (done < most && repeats(insn, element<T>(at.data() + (done - 1) * sizeof(T)) == wanted)) {
            ++done;
        }
        compare(cpu, element<T>(at.data() + (done - 1) * sizeof(T)));
        advance<A>(cpu, x86::rdi, done * sizeof(T));
        return done;
    }
};

struct Cmps {
    static constexpr bool compares = true;

    template <class T, class A>
    static void one(Cpu& cpu, const Insn& insn) {
        const T first = cpu.load<T>(insn.segment, cpu.reg<A>(x86::rsi));
        const T second = cpu.load<T>(x86::es, cpu.reg<A>(x86::rdi));
        cpu.flags.set_sub(first, second, static_cast<T>(first - second));
        advance_both<A>(cpu, element_step<T>(cpu));
    }

    template <class T, class A>
    static std::uint64_t many(Cpu& cpu, const Insn& insn, std::uint64_t count) {
        const auto from =
            run_at<T, A>(cpu, insn.segment, x86::rsi, Access::read, std::min(count, longest_comparison));
        const auto to =
            run_at<T, A>(cpu, x86::es, x86::rdi, Access::read, std::min(count, longest_comparison));
        const std::uint64_t most = std::min(count, std::min(from.size(), to.size()) / sizeof(T));
        if (most == 0) {
            return 0;
        }
        std::uint64_t done = 0;
        T first{}, second{};
        do {
            first = element<T>(from.data() + done * sizeof(T));
            second = element<T>(to.data() + done * sizeof(T));
            ++done;
        } while (done < most && repeats(insn, first == second));
        cpu.flags.set_sub(first, second, static_cast<T>(first - second));
        advance_both<A>(cpu, done * sizeof(T));
        return done;
    }
};

template <class Op, class T, class A>
void single(Cpu& cpu, const Insn& insn) {
    Op::template one<T, A>(cpu, insn);
}

template <class Op, class T, class A>
void repeated(Cpu& cpu, const Insn& insn) {
    while (const A count = cpu.reg<A>(x86::rcx)) {
        std::uint64_t done = 0;
        if (!cpu.steps() && !backwards(cpu)) {
            done = Op::template many<T, A>(cpu, insn, count);
        }
        if (done == 0) {
            Op::template one<T, A>(cpu, insn);
            done = 1;
        }
        const auto left = static_cast<A>(count - done);
        cpu.set_reg<A>(x86::rcx, left);
        if (left == 0 || (Op::compares && !repeats(insn, cpu.flags.zf()))) {
            return;
        }
        if (cpu.interrupted()) {
            cpu.leave_repetition(insn);
            return;
        }
    }
}

template <class Op, class T>
Handler select_string(const Decoded&, Insn& insn) {
    const auto pick = [&]<class A>(A) -> Handler {
        return insn.rep != 0 ? repeated<Op, T, A> : single<Op, T, A>;
    };
    switch (insn.address_size) {
    case 1: return pick(std::uint16_t{});
    case 2: return pick(std::uint32_t{});
    default: return pick(std::uint64_t{});
    }
}

// MOVSD and CMPSD are names of SSE2 instructions too.
template <class Op>
Handler select_doubleword(const Decoded& decoded, Insn& insn) {
    if (decoded.info.meta.category != ZYDIS_CATEGORY_STRINGOP) {
        return nullptr;
    }
    return select_string<Op, std::uint32_t>(decoded, insn);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_MOVSB, select_string<Movs, std::uint8_t>},
    {ZYDIS_MNEMONIC_MOVSW, select_string<Movs, std::uint16_t>},
    {ZYDIS_MNEMONIC_MOVSD, select_doubleword<Movs>},
    {ZYDIS_MNEMONIC_MOVSQ, select_string<Movs, std::uint64_t>},
    {ZYDIS_MNEMONIC_CMPSB, select_string<Cmps, std::uint8_t>},
    {ZYDIS_MNEMONIC_CMPSW, select_string<Cmps, std::uint16_t>},
    {ZYDIS_MNEMONIC_CMPSD, select_doubleword<Cmps>},
    {ZYDIS_MNEMONIC_CMPSQ, select_string<Cmps, std::uint64_t>},
    {ZYDIS_MNEMONIC_STOSB, select_string<Stos, std::uint8_t>},
    {ZYDIS_MNEMONIC_STOSW, select_string<Stos, std::uint16_t>},
    {ZYDIS_MNEMONIC_STOSD, select_string<Stos, std::uint32_t>},
    {ZYDIS_MNEMONIC_STOSQ, select_string<Stos, std::uint64_t>},
    {ZYDIS_MNEMONIC_LODSB, select_string<Lods, std::uint8_t>},
    {ZYDIS_MNEMONIC_LODSW, select_string<Lods, std::uint16_t>},
    {ZYDIS_MNEMONIC_LODSD, select_string<Lods, std::uint32_t>},
    {ZYDIS_MNEMONIC_LODSQ, select_string<Lods, std::uint64_t>},
    {ZYDIS_MNEMONIC_SCASB, select_string<Scas, std::uint8_t>},
    {ZYDIS_MNEMONIC_SCASW, select_string<Scas, std::uint16_t>},
    {ZYDIS_MNEMONIC_SCASD, select_string<Scas, std::uint32_t>},
    {ZYDIS_MNEMONIC_SCASQ, select_string<Scas, std::uint64_t>},
};

} // namespace

Rows string_rows() { return rows; }

} // namespace strata::cpu::interpreter
