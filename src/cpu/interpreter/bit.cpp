// Bits: BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT, POPCNT. SDM volume 2.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

#include <bit>
#include <type_traits>

namespace strata::cpu::interpreter {

namespace {

// ---- bit tests: CF becomes the bit; the other flags stay ----

struct Test {
    template <class T>
    static T change(T value, T) {
        return value;
    }
};

struct Set {
    template <class T>
    static T change(T value, T mask) {
        return value | mask;
    }
};

struct Reset {
    template <class T>
    static T change(T value, T mask) {
        return static_cast<T>(value & ~mask);
    }
};

struct Complement {
    template <class T>
    static T change(T value, T mask) {
        return value ^ mask;
    }
};

template <class T>
T bit_mask(std::uint64_t number) {
    return static_cast<T>(T{1} << (number % width_of<T>));
}

template <class Op, class T>
void bit_reg(Cpu& cpu, const Insn& insn, std::uint64_t number) {
    const T mask = bit_mask<T>(number), value = cpu.reg<T>(insn.rm);
    if constexpr (!std::is_same_v<Op, Test>) {
        cpu.set_reg<T>(insn.rm, Op::change(value, mask));
    }
    cpu.flags.set_cf((value & mask) != 0);
}

template <class Op, class T>
void bit_memory(Cpu& cpu, const Insn& insn, std::uint64_t offset, std::uint64_t number) {
    const T mask = bit_mask<T>(number);
    T value{};
    if constexpr (std::is_same_v<Op, Test>) {
        value = cpu.load<T>(insn.segment, offset);
    } else {
        value =
            cpu.modify<T>(insn.segment, offset, insn.lock, [mask](T old) { return Op::change(old, mask); });
    }
    cpu.flags.set_cf((value & mask) != 0);
}

template <class Op, class T, bool memory>
void bit_by_imm(Cpu& cpu, const Insn& insn) {
    if constexpr (memory) {
        bit_memory<Op, T>(cpu, insn, cpu.effective_address(insn), insn.imm);
    } else {
        bit_reg<Op, T>(cpu, insn, insn.imm);
    }
}

// In memory the register's number counts, with its sign, beyond the operand.
template <class Op, class T, bool memory>
void bit_by_reg(Cpu& cpu, const Insn& insn) {
    const T number = cpu.reg<T>(insn.reg);
    if constexpr (memory) {
        const std::int64_t operand =
            static_cast<std::make_signed_t<T>>(number) / std::int64_t{width_of<T>} -
            (static_cast<std::make_signed_t<T>>(number) < 0 && number % width_of<T> != 0);
        const std::uint64_t offset = cpu.masked_address(
            insn, cpu.effective_address(insn) + static_cast<std::uint64_t>(operand) * sizeof(T));
        bit_memory<Op, T>(cpu, insn, offset, number);
    } else {
        bit_reg<Op, T>(cpu, insn, number);
    }
}

template <class Op>
Handler select_bit(const Decoded& decoded, Insn& insn) {
    const bool immediate = decoded.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    return by_word_width(insn, [&]<class T>(T) -> Handler {
        if (immediate) {
            return insn.memory ? bit_by_imm<Op, T, true> : bit_by_imm<Op, T, false>;
        }
        return insn.memory ? bit_by_reg<Op, T, true> : bit_by_reg<Op, T, false>;
    });
}

// ---- bit scans: of 0, ZF is set and the destination stays ----

struct Forward {
    template <class T>
    static T find(T value) {
        return static_cast<T>(std::countr_zero(value));
    }
};

struct Reverse {
    template <class T>
    static T find(T value) {
        return static_cast<T>(width_of<T> - 1 - std::countl_zero(value));
    }
};

template <class Op, class T>
void scan(Cpu& cpu, const Insn& insn) {
    const T value = cpu.load_rm<T>(insn);
    if (value != 0) {
        cpu.set_reg<T>(insn.reg, Op::find(value));
    }
    cpu.flags.set_zf(value == 0);
}

template <class Op>
Handler select_scan(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return scan<Op, T>; });
}

// ---- counts ----

struct TrailingZeros {
    template <class T>
    static T count(T value) {
        return static_cast<T>(std::countr_zero(value));
    }
};

struct LeadingZeros {
    template <class T>
    static T count(T value) {
        return static_cast<T>(std::countl_zero(value));
    }
};

template <class Op, class T>
void count_zeros(Cpu& cpu, const Insn& insn) {
    const T value = cpu.load_rm<T>(insn), count = Op::count(value);
    cpu.set_reg<T>(insn.reg, count);
    cpu.flags.set_cf(value == 0);
    cpu.flags.set_zf(count == 0);
}

template <class Op>
Handler select_count_zeros(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return count_zeros<Op, T>; });
}

// ZF is that of the source; the other flags are cleared.
template <class T>
void popcnt(Cpu& cpu, const Insn& insn) {
    const T value = cpu.load_rm<T>(insn);
    cpu.set_reg<T>(insn.reg, static_cast<T>(std::popcount(value)));
    cpu.flags.set_arithmetic(value == 0 ? x86::flag::zf : 0);
}

Handler select_popcnt(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return popcnt<T>; });
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_BT, select_bit<Test>},
    {ZYDIS_MNEMONIC_BTS, select_bit<Set>},
    {ZYDIS_MNEMONIC_BTR, select_bit<Reset>},
    {ZYDIS_MNEMONIC_BTC, select_bit<Complement>},
    {ZYDIS_MNEMONIC_BSF, select_scan<Forward>},
    {ZYDIS_MNEMONIC_BSR, select_scan<Reverse>},
    {ZYDIS_MNEMONIC_TZCNT, select_count_zeros<TrailingZeros>},
    {ZYDIS_MNEMONIC_LZCNT, select_count_zeros<LeadingZeros>},
    {ZYDIS_MNEMONIC_POPCNT, select_popcnt},
};

} // namespace

Rows bit_rows() { return rows; }

} // namespace strata::cpu::interpreter
