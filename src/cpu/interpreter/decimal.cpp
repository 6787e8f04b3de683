// Decimal adjustments: DAA, DAS, AAA, AAS, AAM, AAD. SDM volume 2.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

namespace strata::cpu::interpreter {

namespace {

namespace flag = x86::flag;

constexpr unsigned al = x86::rax, ah = 32; // as byte registers

void set_flags(Cpu& cpu, std::uint8_t result, bool carry, bool adjust) {
    cpu.flags.set_result(result, carry, false);
    cpu.flags.set_af(adjust);
}

template <bool subtract>
void adjust_packed(Cpu& cpu, const Insn&) {
    const auto before = cpu.reg<std::uint8_t>(al);
    const bool low = (before & 0xF) > 9 || cpu.flags.af();
    const bool high = before > 0x99 || cpu.flags.cf();
    const unsigned correction = (low ? 6U : 0U) + (high ? 0x60U : 0U);
    // A borrow out of the low digit's correction shows in CF too.
    const bool carry = high || (subtract && low && before < 6);
    const auto result = static_cast<std::uint8_t>(subtract ? before - correction : before + correction);
    cpu.set_reg<std::uint8_t>(al, result);
    set_flags(cpu, result, carry, low);
}

template <bool subtract>
void adjust_unpacked(Cpu& cpu, const Insn&) {
    const auto before = cpu.reg<std::uint16_t>(x86::rax);
    const bool adjust = (before & 0xF) > 9 || cpu.flags.af();
    std::uint16_t value = before;
    if (adjust) {
        value = static_cast<std::uint16_t>(subtract ? before - 0x106 : before + 0x106);
    }
    value &= 0xFF0F;
    cpu.set_reg<std::uint16_t>(x86::rax, value);
    set_flags(cpu, static_cast<std::uint8_t>(value), adjust, adjust);
}

void aam(Cpu& cpu, const Insn& insn) {
    const auto base = static_cast<std::uint8_t>(insn.imm), value = cpu.reg<std::uint8_t>(al);
    if (base == 0) {
        cpu.raise(x86::Vector::divide_error);
    }
    cpu.set_reg<std::uint8_t>(ah, value / base);
    cpu.set_reg<std::uint8_t>(al, value % base);
    cpu.flags.set_logic(static_cast<std::uint8_t>(value % base));
}

void aad(Cpu& cpu, const Insn& insn) {
    const auto result =
        static_cast<std::uint8_t>(cpu.reg<std::uint8_t>(al) + cpu.reg<std::uint8_t>(ah) * insn.imm);
    cpu.set_reg<std::uint16_t>(x86::rax, result);
    cpu.flags.set_logic(result);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_DAA, always<adjust_packed<false>>},
    {ZYDIS_MNEMONIC_DAS, always<adjust_packed<true>>},
    {ZYDIS_MNEMONIC_AAA, always<adjust_unpacked<false>>},
    {ZYDIS_MNEMONIC_AAS, always<adjust_unpacked<true>>},
    {ZYDIS_MNEMONIC_AAM, always<aam>},
    {ZYDIS_MNEMONIC_AAD, always<aad>},
};

} // namespace

Rows decimal_rows() { return rows; }

} // namespace strata::cpu::interpreter
