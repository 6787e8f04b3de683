// x87 data transfers: FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP, FXCH, FCMOVcc and the constants.
// SDM volume 1 section 8.3.3 and 8.3.4, volume 2.
#include "cpu/interpreter/x87/groups.hpp"
#include "cpu/interpreter/x87/instruction.hpp"

#include <limits>
#include <type_traits>

namespace strata::cpu::interpreter::x87 {

namespace {

// ---- loads ----

[[nodiscard]] bool is_full(const FpState& fp) { return !is_empty(fp, 7); }

void push_checked(FpState& fp, const Float80& value) {
    if (is_full(fp)) [[unlikely]] {
        if (stack_fault(fp, StackFault::overflow)) {
            push(fp, x86::indefinite);
        }
        return;
    }
    push(fp, value);
    clear_c1(fp);
}

// Float32 and Float64. Of the two exceptions that widening may raise, only an invalid operand keeps the value
// off the stack.
template <class Source>
void load_narrow(Cpu& cpu, const Insn& insn) {
    const x86::Widened widened = x86::widen(cpu.load<Source>(insn));
    FpState& fp = cpu.fp;
    if (widened.exceptions != 0 && !is_full(fp)) [[unlikely]] {
        commit(fp, widened.exceptions);
        if (unmasked(fp, widened.exceptions) & fp_exception::ie) {
            return;
        }
    }
    push_checked(fp, widened.value);
}

void load_extended(Cpu& cpu, const Insn& insn) { push_checked(cpu.fp, cpu.load<Float80>(insn)); }

template <class Source>
void load_integer(Cpu& cpu, const Insn& insn) {
    push_checked(cpu.fp, x86::from_integer(cpu.load<Source>(insn)));
}

// Every digit counts for its value, also those above 9, which no number has.
void load_decimal(Cpu& cpu, const Insn& insn) {
    const auto decimal = cpu.load<fp_unit::Bcd80>(insn);
    constexpr unsigned digit_bytes = 9;
    std::int64_t magnitude = 0;
    for (unsigned i = digit_bytes; i-- > 0;) {
        magnitude = magnitude * 100 + (decimal.bytes[i] >> 4) * 10 + (decimal.bytes[i] & 0xF);
    }
    Float80 value = x86::from_integer(magnitude);
    if (decimal.bytes[digit_bytes] & 0x80) {
        value.sign_exponent |= 0x8000;
    }
    push_checked(cpu.fp, value);
}

void load_register(Cpu& cpu, const Insn& insn) {
    FpState& fp = cpu.fp;
    if (is_empty(fp, insn.rm)) [[unlikely]] {
        if (stack_fault(fp, StackFault::underflow)) {
            push(fp, x86::indefinite);
        }
        return;
    }
    Float80 value;
    copy(value, st(fp, insn.rm));
    push_checked(fp, value);
}

// ---- stores ----

// What is stored for an empty register, if the stack fault is masked.
template <class Destination>
Destination indefinite_as() {
    if constexpr (std::is_same_v<Destination, Float32>) {
        return {0xFFC0'0000};
    } else if constexpr (std::is_same_v<Destination, Float64>) {
        return {0xFFF8'0000'0000'0000};
    } else if constexpr (std::is_same_v<Destination, Float80>) {
        return x86::indefinite;
    } else if constexpr (std::is_same_v<Destination, fp_unit::Bcd80>) {
        return {{0, 0, 0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFF}};
    } else {
        return std::numeric_limits<Destination>::min();
    }
}

template <class Destination>
Status narrow_copy(fp_unit::Mode, const Float80& source, Destination& result) {
    copy(result, source);
    return 0;
}

// The value reaches memory before anything changes in the processor; unmasked IE, OE and UE keep it from
// there, though a destination that cannot be written still faults.
template <auto convert, class Destination, bool pops>
void store(Cpu& cpu, const Insn& insn) {
    FpState& fp = cpu.fp;
    constexpr std::uint16_t prevents = fp_exception::ie | fp_exception::oe | fp_exception::ue;
    Destination value{};
    Status status = fp_exception::ie | fsw::sf;
    if (is_empty(fp, 0)) [[unlikely]] {
        value = indefinite_as<Destination>();
    } else {
        status = convert(mode(fp), st(fp, 0), value);
    }
    const bool stored = !(unmasked(fp, status) & prevents);
    if (stored) [[likely]] {
        cpu.store<Destination>(insn, value);
    } else {
        constexpr unsigned size = memory_size<Destination>;
        cpu.probe_at(cpu.operand_address(insn, size, Access::write), size, Access::write, insn.segment);
    }
    commit(fp, status);
    if (pops && stored) {
        pop(fp);
    }
}

template <class Destination, bool pops>
constexpr Handler store_rounded = &store<&fp_unit::narrow<Destination>, Destination, pops>;
template <class Destination>
constexpr Handler store_truncated = &store<&fp_unit::truncate<Destination>, Destination, true>;
constexpr Handler store_extended = &store<&narrow_copy<Float80>, Float80, true>;

template <bool pops>
void store_register(Cpu& cpu, const Insn& insn) {
    FpState& fp = cpu.fp;
    if (is_empty(fp, 0)) [[unlikely]] {
        if (!stack_fault(fp, StackFault::underflow)) {
            return;
        }
        set_st(fp, insn.rm, x86::indefinite);
    } else {
        set_st(fp, insn.rm, st(fp, 0));
        clear_c1(fp);
    }
    if (pops) {
        pop(fp);
    }
}

// FSTPNCE, "no change of exceptions": an empty register is moved as it is.
void store_register_without_exceptions(Cpu& cpu, const Insn& insn) {
    FpState& fp = cpu.fp;
    if (!is_empty(fp, 0)) {
        set_st(fp, insn.rm, st(fp, 0));
    }
    clear_c1(fp);
    pop(fp);
}

// ---- between registers ----

void exchange(Cpu& cpu, const Insn& insn) {
    FpState& fp = cpu.fp;
    if (is_empty(fp, 0) || is_empty(fp, insn.rm)) [[unlikely]] {
        if (!stack_fault(fp, StackFault::underflow)) {
            return;
        }
        for (const unsigned i : {0U, unsigned{insn.rm}}) {
            if (is_empty(fp, i)) {
                set_st(fp, i, x86::indefinite);
            }
        }
    } else {
        clear_c1(fp);
    }
    Float80 old;
    copy(old, st(fp, 0));
    copy(st(fp, 0), st(fp, insn.rm));
    copy(st(fp, insn.rm), old);
}

// Both registers must be in use, whether or not the value moves.
template <unsigned condition>
void move_if(Cpu& cpu, const Insn& insn) {
    FpState& fp = cpu.fp;
    if (is_empty(fp, 0) || is_empty(fp, insn.rm)) [[unlikely]] {
        if (stack_fault(fp, StackFault::underflow)) {
            set_st(fp, 0, x86::indefinite);
        }
    } else if (cpu.flags.condition(condition)) {
        copy(st(fp, 0), st(fp, insn.rm));
    }
}

// ---- constants ----

// A constant truncated to 64 bits, and whether the next bit is one.
struct Constant {
    Float80 truncated;
    bool nearest_is_above;
};

template <Constant constant, bool exact = false>
void load_constant(Cpu& cpu, const Insn&) {
    constexpr unsigned nearest = 0, up = 2;
    const unsigned rounding = (cpu.fp.fcw >> fcw::rounding_shift) & 3;
    Float80 value = constant.truncated;
    if (!exact && (rounding == up || (rounding == nearest && constant.nearest_is_above))) {
        ++value.significand;
    }
    push_checked(cpu.fp, value);
}

constexpr Constant one{{0x8000'0000'0000'0000, 0x3FFF}, false};
constexpr Constant zero{{0, 0}, false};
constexpr Constant pi{{0xC90F'DAA2'2168'C234, 0x4000}, true};
constexpr Constant log2_10{{0xD49A'784B'CD1B'8AFE, 0x4000}, false};
constexpr Constant log2_e{{0xB8AA'3B29'5C17'F0BB, 0x3FFF}, true};
constexpr Constant log10_2{{0x9A20'9A84'FBCF'F798, 0x3FFD}, true};
constexpr Constant ln_2{{0xB172'17F7'D1CF'79AB, 0x3FFE}, true};

// ---- selection ----

Handler select_load(const Decoded& decoded, Insn& insn) {
    if (!insn.memory) {
        return compute<load_register>(decoded, insn);
    }
    switch (memory_width(decoded)) {
    case 32: return compute<load_narrow<Float32>>(decoded, insn);
    case 64: return compute<load_narrow<Float64>>(decoded, insn);
    default: return compute<load_extended>(decoded, insn);
    }
}

Handler select_load_integer(const Decoded& decoded, Insn& insn) {
    switch (memory_width(decoded)) {
    case 16: return compute<load_integer<std::int16_t>>(decoded, insn);
    case 32: return compute<load_integer<std::int32_t>>(decoded, insn);
    default: return compute<load_integer<std::int64_t>>(decoded, insn);
    }
}

template <bool pops>
Handler select_store(const Decoded& decoded, Insn& insn) {
    if (!insn.memory) {
        return compute<store_register<pops>>(decoded, insn);
    }
    switch (memory_width(decoded)) {
    case 32: return compute<store_rounded<Float32, pops>>(decoded, insn);
    case 64: return compute<store_rounded<Float64, pops>>(decoded, insn);
    default: return compute<store_extended>(decoded, insn); // FSTP alone
    }
}

template <bool pops>
Handler select_store_integer(const Decoded& decoded, Insn& insn) {
    switch (memory_width(decoded)) {
    case 16: return compute<store_rounded<std::int16_t, pops>>(decoded, insn);
    case 32: return compute<store_rounded<std::int32_t, pops>>(decoded, insn);
    default: return compute<store_rounded<std::int64_t, true>>(decoded, insn); // FISTP alone
    }
}

Handler select_store_truncated(const Decoded& decoded, Insn& insn) {
    switch (memory_width(decoded)) {
    case 16: return compute<store_truncated<std::int16_t>>(decoded, insn);
    case 32: return compute<store_truncated<std::int32_t>>(decoded, insn);
    default: return compute<store_truncated<std::int64_t>>(decoded, insn);
    }
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_FLD, select_load},
    {ZYDIS_MNEMONIC_FILD, select_load_integer},
    {ZYDIS_MNEMONIC_FBLD, compute<load_decimal>},
    {ZYDIS_MNEMONIC_FST, select_store<false>},
    {ZYDIS_MNEMONIC_FSTP, select_store<true>},
    {ZYDIS_MNEMONIC_FSTPNCE, compute<store_register_without_exceptions>},
    {ZYDIS_MNEMONIC_FIST, select_store_integer<false>},
    {ZYDIS_MNEMONIC_FISTP, select_store_integer<true>},
    {ZYDIS_MNEMONIC_FISTTP, select_store_truncated},
    {ZYDIS_MNEMONIC_FBSTP, compute<store_rounded<fp_unit::Bcd80, true>>},
    {ZYDIS_MNEMONIC_FXCH, compute<exchange>},
    {ZYDIS_MNEMONIC_FCMOVB, compute<move_if<0x2>>},
    {ZYDIS_MNEMONIC_FCMOVNB, compute<move_if<0x3>>},
    {ZYDIS_MNEMONIC_FCMOVE, compute<move_if<0x4>>},
    {ZYDIS_MNEMONIC_FCMOVNE, compute<move_if<0x5>>},
    {ZYDIS_MNEMONIC_FCMOVBE, compute<move_if<0x6>>},
    {ZYDIS_MNEMONIC_FCMOVNBE, compute<move_if<0x7>>},
    {ZYDIS_MNEMONIC_FCMOVU, compute<move_if<0xA>>},
    {ZYDIS_MNEMONIC_FCMOVNU, compute<move_if<0xB>>},
    {ZYDIS_MNEMONIC_FLD1, compute<load_constant<one, true>>},
    {ZYDIS_MNEMONIC_FLDZ, compute<load_constant<zero, true>>},
    {ZYDIS_MNEMONIC_FLDPI, compute<load_constant<pi>>},
    {ZYDIS_MNEMONIC_FLDL2T, compute<load_constant<log2_10>>},
    {ZYDIS_MNEMONIC_FLDL2E, compute<load_constant<log2_e>>},
    {ZYDIS_MNEMONIC_FLDLG2, compute<load_constant<log10_2>>},
    {ZYDIS_MNEMONIC_FLDLN2, compute<load_constant<ln_2>>},
};

} // namespace

Rows transfer_rows() { return rows; }

} // namespace strata::cpu::interpreter::x87
