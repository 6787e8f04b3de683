// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: comparisons of strings in registers. SDM volume 2B section 4.1.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/lanewise.hpp"
#include "cpu/interpreter/simd/select.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace strata::cpu::interpreter::simd {
namespace {

using std::int16_t, std::int32_t, std::int64_t, std::int8_t;
using std::uint16_t, std::uint32_t, std::uint64_t, std::uint8_t;

enum class Aggregation : uint8_t { equal_any, ranges, equal_each, equal_ordered };

// The fields of the immediate.
struct Control {
    uint8_t value;

    [[nodiscard]] bool words() const { return value & 1; }

    [[nodiscard]] bool is_signed() const { return value & 2; }

    [[nodiscard]] Aggregation aggregation() const { return static_cast<Aggregation>(value >> 2 & 3); }

    [[nodiscard]] bool negative() const { return value & 0x10; }

    [[nodiscard]] bool masked() const { return value & 0x20; } // negation spares elements behind the end

    [[nodiscard]] bool most_significant() const { return value & 0x40; } // the index returned

    [[nodiscard]] bool expand() const { return value & 0x40; } // the mask returned
};

// An operand: its elements, of which the first `length` are valid.
template <class T>
struct String {
    std::array<T, lane_count<T>> elements;
    unsigned length;
};

// Of each aggregation: whether element j of b fits a.

template <class T>
bool fits_any(const String<T>& a, const String<T>& b, unsigned j) {
    return j < b.length &&
           std::any_of(
               a.elements.begin(), a.elements.begin() + a.length, [&](T x) { return x == b.elements[j]; });
}

// a's elements are pairs of bounds.
template <class T>
bool fits_range(const String<T>& a, const String<T>& b, unsigned j) {
    for (unsigned i = 0; j < b.length && i + 1 < a.length; i += 2) {
        if (b.elements[j] >= a.elements[i] && b.elements[j] <= a.elements[i + 1]) {
            return true;
        }
    }
    return false;
}

// Behind the end of both, all is equal.
template <class T>
bool fits_each(const String<T>& a, const String<T>& b, unsigned j) {
    const bool in_a = j < a.length, in_b = j < b.length;
    return in_a && in_b ? a.elements[j] == b.elements[j] : in_a == in_b;
}

// Whether a stands in b from j on, as far as the register reaches.
template <class T>
bool fits_substring(const String<T>& a, const String<T>& b, unsigned j) {
    for (unsigned i = 0; i < a.length && i + j < lane_count<T>; ++i) {
        if (i + j >= b.length || a.elements[i] != b.elements[i + j]) {
            return false;
        }
    }
    return true;
}

// Bit j: element j of b fits a.
template <class T>
unsigned aggregate(Aggregation aggregation, const String<T>& a, const String<T>& b) {
    constexpr std::array fits{&fits_any<T>, &fits_range<T>, &fits_each<T>, &fits_substring<T>};
    const auto chosen = fits[static_cast<std::size_t>(aggregation)];
    unsigned result = 0;
    for (unsigned j = 0; j < lane_count<T>; ++j) {
        result |= static_cast<unsigned>(chosen(a, b, j)) << j;
    }
    return result;
}

// The lengths of both operands, in elements.
struct Lengths {
    unsigned a, b;
};

unsigned compare(Control control, Block a, Block b, Lengths lengths) {
    const auto as = [&]<class T>(T) {
        using Elements = std::array<T, lane_count<T>>;
        return aggregate<T>(control.aggregation(), {std::bit_cast<Elements>(a), lengths.a},
                            {std::bit_cast<Elements>(b), lengths.b});
    };
    if (control.words()) {
        return control.is_signed() ? as(int16_t{}) : as(uint16_t{});
    }
    return control.is_signed() ? as(int8_t{}) : as(uint8_t{});
}

unsigned apply_polarity(Control control, unsigned matches, unsigned count, unsigned valid) {
    if (!control.negative()) {
        return matches;
    }
    return matches ^ ((1U << (control.masked() ? valid : count)) - 1);
}

// ---- lengths ----

unsigned implicit_length(Control control, Block value) {
    const unsigned zeros = control.words() ? sign_bits<uint16_t>(equal<uint16_t>(value, Block{}))
                                           : sign_bits<uint8_t>(equal<uint8_t>(value, Block{}));
    const unsigned count = control.words() ? 8 : 16;
    return zeros != 0 ? static_cast<unsigned>(std::countr_zero(zeros)) : count;
}

// The magnitude of a register, no more than there are elements. insn.extra says whether it has 64 bits.
unsigned explicit_length(const Cpu& cpu, const Insn& insn, unsigned number, unsigned count) {
    const auto value = insn.extra ? static_cast<int64_t>(cpu.reg<uint64_t>(number))
                                  : int64_t{static_cast<int32_t>(cpu.reg<uint32_t>(number))};
    const uint64_t magnitude = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    return static_cast<unsigned>(std::min<uint64_t>(magnitude, count));
}

// ---- results ----

void return_index(Cpu& cpu, Control control, unsigned result, unsigned count) {
    const int index = result == 0                  ? static_cast<int>(count)
                      : control.most_significant() ? std::bit_width(result) - 1
                                                   : std::countr_zero(result);
    cpu.set_reg<uint64_t>(x86::rcx, static_cast<uint64_t>(index));
}

void return_mask(Cpu& cpu, const Insn& insn, Control control, unsigned result) {
    Block mask{result};
    if (control.expand()) {
        mask = control.words() ? lane_mask<uint16_t>(result) : lane_mask<uint8_t>(result);
    }
    constexpr unsigned xmm0 = 0;
    write_register<1>(cpu, insn, xmm0, {mask});
}

template <bool implicit, bool index>
void compare_strings(Cpu& cpu, const Insn& insn) {
    const Control control{immediate(insn)};
    const unsigned count = control.words() ? 8 : 16;
    const Block b = insn.memory ? cpu.load<Block>(insn) : read_block(cpu, insn.rm); // at any alignment
    const Block a = read_block(cpu, insn.reg);
    const Lengths lengths = implicit ? Lengths{implicit_length(control, a), implicit_length(control, b)}
                                     : Lengths{explicit_length(cpu, insn, x86::rax, count),
                                               explicit_length(cpu, insn, x86::rdx, count)};
    const unsigned result = apply_polarity(control, compare(control, a, b, lengths), count, lengths.b);
    if constexpr (index) {
        return_index(cpu, control, result, count);
    } else {
        return_mask(cpu, insn, control, result);
    }
    cpu.flags.set_arithmetic((result != 0 ? x86::flag::cf : 0) | (lengths.b < count ? x86::flag::zf : 0) |
                             (lengths.a < count ? x86::flag::sf : 0) | (result & 1 ? x86::flag::of : 0));
}

template <bool implicit, bool index>
Handler select_string(const Decoded& decoded, Insn& insn) {
    const bool w = insn.vex ? decoded.info.raw.vex.W : decoded.info.raw.rex.W;
    insn.extra = decoded.long_mode && w ? 1 : 0;
    return select_form(decoded, insn, &compare_strings<implicit, index>, nullptr);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(PCMPESTRI, select_string<false, true>),
    STRATA_SSE_AVX(PCMPESTRM, select_string<false, false>),
    STRATA_SSE_AVX(PCMPISTRI, select_string<true, true>),
    STRATA_SSE_AVX(PCMPISTRM, select_string<true, false>),
};

} // namespace

constinit const Rows string_rows = rows;

} // namespace strata::cpu::interpreter::simd
