// MUL, IMUL, DIV, IDIV. SDM volume 2.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"
#include "cpu/interpreter/wide_integer.hpp"

#include <limits>
#include <type_traits>

namespace strata::cpu::interpreter {

namespace {

template <class T>
using Signed = std::make_signed_t<T>;

// ---- the pair of registers that holds a double-width operand: AX, or rDX:rAX ----

template <class T>
Wide<T> double_accumulator(const Cpu& cpu) {
    if constexpr (sizeof(T) == 1) {
        return cpu.reg<std::uint16_t>(x86::rax);
    } else {
        return static_cast<Wide<T>>(static_cast<Wide<T>>(cpu.reg<T>(x86::rdx)) << width_of<T> |
                                    cpu.reg<T>(x86::rax));
    }
}

constexpr unsigned ah = 32; // its number as a byte register

template <class T>
void set_pair(Cpu& cpu, T high, T low) {
    cpu.set_reg<T>(x86::rax, low);
    cpu.set_reg<T>(sizeof(T) == 1 ? ah : unsigned{x86::rdx}, high);
}

// ---- multiplication: CF and OF say that the upper half matters ----

template <class T>
void mul(Cpu& cpu, const Insn& insn) {
    const auto product =
        static_cast<Wide<T>>(static_cast<Wide<T>>(cpu.reg<T>(x86::rax)) * cpu.load_rm<T>(insn));
    const T low = static_cast<T>(product), high = static_cast<T>(product >> width_of<T>);
    set_pair(cpu, high, low);
    cpu.flags.set_result(low, high != 0, high != 0);
}

template <class T>
SignedWide<T> signed_product(T a, T b) {
    return static_cast<SignedWide<T>>(static_cast<SignedWide<T>>(static_cast<Signed<T>>(a)) *
                                      static_cast<Signed<T>>(b));
}

template <class T>
void set_signed_flags(Flags& flags, SignedWide<T> product) {
    const T low = static_cast<T>(product);
    const bool lost = static_cast<Signed<T>>(low) != product;
    flags.set_result(low, lost, lost);
}

template <class T>
void imul(Cpu& cpu, const Insn& insn) {
    const SignedWide<T> product = signed_product(cpu.reg<T>(x86::rax), cpu.load_rm<T>(insn));
    set_pair(cpu, static_cast<T>(product >> width_of<T>), static_cast<T>(product));
    set_signed_flags<T>(cpu.flags, product);
}

template <class T>
void imul_reg(Cpu& cpu, const Insn& insn) {
    const SignedWide<T> product = signed_product(cpu.reg<T>(insn.reg), cpu.load_rm<T>(insn));
    cpu.set_reg<T>(insn.reg, static_cast<T>(product));
    set_signed_flags<T>(cpu.flags, product);
}

template <class T>
void imul_imm(Cpu& cpu, const Insn& insn) {
    const SignedWide<T> product = signed_product(cpu.load_rm<T>(insn), static_cast<T>(insn.imm));
    cpu.set_reg<T>(insn.reg, static_cast<T>(product));
    set_signed_flags<T>(cpu.flags, product);
}

// ---- division: #DE where the quotient does not fit; the flags are undefined and stay ----

template <class T>
void div(Cpu& cpu, const Insn& insn) {
    const T divisor = cpu.load_rm<T>(insn);
    const Wide<T> dividend = double_accumulator<T>(cpu);
    if (divisor <= static_cast<T>(dividend >> width_of<T>)) { // zero among them
        cpu.raise(x86::Vector::divide_error);
    }
    set_pair(cpu, static_cast<T>(dividend % divisor), static_cast<T>(dividend / divisor));
}

template <class T>
void idiv(Cpu& cpu, const Insn& insn) {
    const auto divisor = static_cast<SignedWide<T>>(static_cast<Signed<T>>(cpu.load_rm<T>(insn)));
    const auto dividend = static_cast<SignedWide<T>>(double_accumulator<T>(cpu));
    constexpr auto most_negative = static_cast<SignedWide<T>>(Wide<T>{1} << (2 * width_of<T> - 1));
    if (divisor == 0 || (divisor == -1 && dividend == most_negative)) {
        cpu.raise(x86::Vector::divide_error);
    }
    const auto quotient = static_cast<SignedWide<T>>(dividend / divisor);
    if (quotient != static_cast<Signed<T>>(quotient)) {
        cpu.raise(x86::Vector::divide_error);
    }
    set_pair(cpu, static_cast<T>(dividend % divisor), static_cast<T>(quotient));
}

Handler select_mul(const Decoded&, Insn& insn) {
    return by_width(insn, []<class T>(T) -> Handler { return mul<T>; });
}

Handler select_imul(const Decoded& decoded, Insn& insn) {
    if (decoded.info.operand_count_visible == 1) {
        return by_width(insn, []<class T>(T) -> Handler { return imul<T>; });
    }
    const bool immediate = decoded.info.operand_count_visible == 3;
    return by_word_width(insn, [&]<class T>(T) -> Handler { return immediate ? imul_imm<T> : imul_reg<T>; });
}

Handler select_div(const Decoded&, Insn& insn) {
    return by_width(insn, []<class T>(T) -> Handler { return div<T>; });
}

Handler select_idiv(const Decoded&, Insn& insn) {
    return by_width(insn, []<class T>(T) -> Handler { return idiv<T>; });
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_MUL, select_mul},
    {ZYDIS_MNEMONIC_IMUL, select_imul},
    {ZYDIS_MNEMONIC_DIV, select_div},
    {ZYDIS_MNEMONIC_IDIV, select_idiv},
};

} // namespace

Rows multiply_rows() { return rows; }

} // namespace strata::cpu::interpreter
