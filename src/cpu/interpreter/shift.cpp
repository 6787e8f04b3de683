// Shifts and rotates: SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD. SDM volume 2.
// Counts are taken modulo 32, or 64 for 64-bit operands; a count of 0 changes no flag. Where the manual
// leaves OF undefined (counts above 1) it is what the formula for 1 gives.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"
#include "cpu/interpreter/wide_integer.hpp"

#include <algorithm>
#include <type_traits>

namespace strata::cpu::interpreter {

namespace {

template <class T>
inline constexpr unsigned count_mask = sizeof(T) == 8 ? 63 : 31;

template <class T>
constexpr bool top_bit(T value) {
    return value >> (width_of<T> - 1);
}

template <class T>
constexpr bool second_bit(T value) {
    return value >> (width_of<T> - 2) & 1;
}

// Each operation gives the shifted value for a count that is not 0 and sets the flags.

struct Shl {
    template <class T>
    static T apply(Flags& flags, T value, unsigned count) {
        const std::uint64_t shifted = count > width_of<T> ? 0 : std::uint64_t{value} << (count - 1);
        const T result = static_cast<T>(shifted << 1);
        const bool carry = top_bit(static_cast<T>(shifted));
        flags.set_result(result, carry, carry != top_bit(result));
        return result;
    }
};

struct Shr {
    template <class T>
    static T apply(Flags& flags, T value, unsigned count) {
        const std::uint64_t shifted = count > width_of<T> ? 0 : std::uint64_t{value} >> (count - 1);
        const T result = static_cast<T>(shifted >> 1);
        flags.set_result(result, shifted & 1, top_bit(result) != second_bit(result));
        return result;
    }
};

struct Sar {
    template <class T>
    static T apply(Flags& flags, T value, unsigned count) {
        const std::int64_t extended = static_cast<std::make_signed_t<T>>(value);
        const std::int64_t shifted = extended >> (count - 1);
        const T result = static_cast<T>(shifted >> 1);
        flags.set_result(result, shifted & 1, false);
        return result;
    }
};

template <class T>
T rotate_left(T value, unsigned count) {
    return count == 0 ? value : static_cast<T>(value << count | value >> (width_of<T> - count));
}

struct Rol {
    template <class T>
    static T apply(Flags& flags, T value, unsigned count) {
        const T result = rotate_left(value, count % width_of<T>);
        flags.set_cf(result & 1);
        flags.set_of((result & 1) != top_bit(result));
        return result;
    }
};

struct Ror {
    template <class T>
    static T apply(Flags& flags, T value, unsigned count) {
        const T result = rotate_left(value, (width_of<T> - count % width_of<T>) % width_of<T>);
        flags.set_cf(top_bit(result));
        flags.set_of(top_bit(result) != second_bit(result));
        return result;
    }
};

// Rotations through the carry, one bit wider than the operand.
struct Rcl {
    template <class T>
    static T apply(Flags& flags, T value, unsigned count) {
        count %= width_of<T> + 1;
        if (count == 0) {
            return value;
        }
        const T carry_in = flags.cf();
        const T kept = count == width_of<T> ? T{0} : static_cast<T>(value << count);
        const T around = count == 1 ? T{0} : static_cast<T>(value >> (width_of<T> + 1 - count));
        const T result = static_cast<T>(kept | carry_in << (count - 1) | around);
        const bool carry = value >> (width_of<T> - count) & 1;
        flags.set_cf(carry);
        flags.set_of(carry != top_bit(result));
        return result;
    }
};

struct Rcr {
    template <class T>
    static T apply(Flags& flags, T value, unsigned count) {
        count %= width_of<T> + 1;
        if (count == 0) {
            return value;
        }
        const T carry_in = flags.cf();
        const T kept = count == width_of<T> ? T{0} : static_cast<T>(value >> count);
        const T around = count == 1 ? T{0} : static_cast<T>(value << (width_of<T> + 1 - count));
        const T result = static_cast<T>(kept | carry_in << (width_of<T> - count) | around);
        flags.set_cf(value >> (count - 1) & 1);
        flags.set_of(top_bit(result) != second_bit(result));
        return result;
    }
};

// ---- operands ----

struct CountOne {
    static unsigned count(const Cpu&, const Insn&) { return 1; }
};

struct CountImm {
    static unsigned count(const Cpu&, const Insn& insn) { return static_cast<unsigned>(insn.imm); }
};

struct CountCl {
    static unsigned count(const Cpu& cpu, const Insn&) { return static_cast<unsigned>(cpu.regs[x86::rcx]); }
};

template <class Op, class T, class Count>
void shift_reg(Cpu& cpu, const Insn& insn) {
    const unsigned count = Count::count(cpu, insn) & count_mask<T>;
    const T value = cpu.reg<T>(insn.rm);
    cpu.set_reg<T>(insn.rm, count == 0 ? value : Op::template apply<T>(cpu.flags, value, count));
}

template <class Op, class T, class Count>
void shift_memory(Cpu& cpu, const Insn& insn) {
    const unsigned count = Count::count(cpu, insn) & count_mask<T>;
    Flags flags = cpu.flags;
    cpu.modify<T>(insn, [&](T value) {
        flags = cpu.flags;
        return count == 0 ? value : Op::template apply<T>(flags, value, count);
    });
    cpu.flags = flags;
}

template <class Op, class Count>
Handler pick_shift(const Insn& insn) {
    return by_width(insn, [&]<class T>(T) -> Handler {
        return insn.memory ? shift_memory<Op, T, Count> : shift_reg<Op, T, Count>;
    });
}

template <class Op>
Handler select_shift(const Decoded& decoded, Insn& insn) {
    const ZydisDecodedOperand& count = decoded.operands[1];
    if (count.type == ZYDIS_OPERAND_TYPE_REGISTER) {
        return pick_shift<Op, CountCl>(insn);
    }
    const bool implied = count.encoding == ZYDIS_OPERAND_ENCODING_NONE;
    return implied ? pick_shift<Op, CountOne>(insn) : pick_shift<Op, CountImm>(insn);
}

// ---- double shifts ----

// 16-bit operands shifted by more than 16 bits take up the destination again, as processors do.
template <class T>
T double_left(T to, T from, unsigned count) {
    if constexpr (sizeof(T) == 2) {
        const std::uint64_t all = std::uint64_t{to} << 32 | std::uint64_t{from} << 16 | to;
        return static_cast<T>(all << count >> 32);
    } else {
        return static_cast<T>(to << count | from >> (width_of<T> - count));
    }
}

template <class T>
T double_right(T to, T from, unsigned count) {
    if constexpr (sizeof(T) == 2) {
        const std::uint64_t all = std::uint64_t{to} << 32 | std::uint64_t{from} << 16 | to;
        return static_cast<T>(all >> count);
    } else {
        return static_cast<T>(to >> count | from << (width_of<T> - count));
    }
}

template <bool left, class T>
T double_shift(Flags& flags, T to, T from, unsigned count) {
    // The last bit shifted out is the one that a shift by one less leaves at the edge.
    const T before = count == 1 ? to
                     : left     ? double_left(to, from, count - 1)
                                : double_right(to, from, count - 1);
    const T result = left ? double_left(to, from, count) : double_right(to, from, count);
    flags.set_result(result, left ? top_bit(before) : (before & 1) != 0, top_bit(result) != top_bit(to));
    return result;
}

template <bool left, class T, class Count>
void double_shift_operands(Cpu& cpu, const Insn& insn) {
    const unsigned count = Count::count(cpu, insn) & count_mask<T>;
    const T from = cpu.reg<T>(insn.reg);
    if (!insn.memory) {
        const T to = cpu.reg<T>(insn.rm);
        cpu.set_reg<T>(insn.rm, count == 0 ? to : double_shift<left, T>(cpu.flags, to, from, count));
        return;
    }
    Flags flags = cpu.flags;
    cpu.modify<T>(insn,
                  [&](T to) { return count == 0 ? to : double_shift<left, T>(flags, to, from, count); });
    cpu.flags = flags;
}

template <bool left>
Handler select_double_shift(const Decoded& decoded, Insn& insn) {
    const bool immediate = decoded.operands[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    return by_word_width(insn, [&]<class T>(T) -> Handler {
        return immediate ? double_shift_operands<left, T, CountImm> : double_shift_operands<left, T, CountCl>;
    });
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_SHL, select_shift<Shl>},           {ZYDIS_MNEMONIC_SHR, select_shift<Shr>},
    {ZYDIS_MNEMONIC_SAR, select_shift<Sar>},           {ZYDIS_MNEMONIC_ROL, select_shift<Rol>},
    {ZYDIS_MNEMONIC_ROR, select_shift<Ror>},           {ZYDIS_MNEMONIC_RCL, select_shift<Rcl>},
    {ZYDIS_MNEMONIC_RCR, select_shift<Rcr>},           {ZYDIS_MNEMONIC_SHLD, select_double_shift<true>},
    {ZYDIS_MNEMONIC_SHRD, select_double_shift<false>},
};

} // namespace

Rows shift_rows() { return rows; }

} // namespace strata::cpu::interpreter
