// BMI1, BMI2 and ADX. SDM volume 2. Flags that the manual leaves undefined are cleared.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"
#include "cpu/interpreter/wide_integer.hpp"

#include <type_traits>

namespace strata::cpu::interpreter {

namespace {

// The handler's instance for 32 or 64 bits.
template <template <class> class Op>
Handler select_32_or_64(const Decoded&, Insn& insn) {
    return insn.operand_size == 3 ? Op<std::uint64_t>::run : Op<std::uint32_t>::run;
}

// ---- BMI1 ----

template <class T>
struct Andn {
    static void run(Cpu& cpu, const Insn& insn) {
        const T result = static_cast<T>(~cpu.reg<T>(insn.vvvv)) & cpu.load_rm<T>(insn);
        cpu.set_reg<T>(insn.reg, result);
        cpu.flags.set_logic(result);
    }
};

template <class T>
struct Bextr {
    static void run(Cpu& cpu, const Insn& insn) {
        const T control = cpu.reg<T>(insn.vvvv), value = cpu.load_rm<T>(insn);
        const unsigned start = control & 0xFF, length = control >> 8 & 0xFF;
        const T shifted = start < width_of<T> ? value >> start : T{0};
        const T result = length < width_of<T> ? shifted & ((T{1} << length) - 1) : shifted;
        cpu.set_reg<T>(insn.reg, result);
        cpu.flags.set_logic(result);
    }
};

template <class T>
struct Blsi {
    static void run(Cpu& cpu, const Insn& insn) {
        const T value = cpu.load_rm<T>(insn), result = value & (T{0} - value);
        cpu.set_reg<T>(insn.vvvv, result);
        cpu.flags.set_result(result, value != 0, false);
    }
};

template <class T>
struct Blsmsk {
    static void run(Cpu& cpu, const Insn& insn) {
        const T value = cpu.load_rm<T>(insn), result = value ^ (value - 1);
        cpu.set_reg<T>(insn.vvvv, result);
        cpu.flags.set_result(result, value == 0, false);
    }
};

template <class T>
struct Blsr {
    static void run(Cpu& cpu, const Insn& insn) {
        const T value = cpu.load_rm<T>(insn), result = value & (value - 1);
        cpu.set_reg<T>(insn.vvvv, result);
        cpu.flags.set_result(result, value == 0, false);
    }
};

// ---- BMI2 ----

template <class T>
struct Bzhi {
    static void run(Cpu& cpu, const Insn& insn) {
        const unsigned index = cpu.reg<std::uint8_t>(insn.vvvv);
        const T value = cpu.load_rm<T>(insn);
        const bool all = index >= width_of<T>;
        const T result = all ? value : value & ((T{1} << index) - 1);
        cpu.set_reg<T>(insn.reg, result);
        cpu.flags.set_result(result, all, false);
    }
};

// The high half is written last: it stays where both destinations are one register.
template <class T>
struct Mulx {
    static void run(Cpu& cpu, const Insn& insn) {
        const auto product = static_cast<Wide<T>>(cpu.reg<T>(x86::rdx)) * cpu.load_rm<T>(insn);
        cpu.set_reg<T>(insn.vvvv, static_cast<T>(product));
        cpu.set_reg<T>(insn.reg, static_cast<T>(product >> width_of<T>));
    }
};

template <class T>
struct Pdep {
    static void run(Cpu& cpu, const Insn& insn) {
        T source = cpu.reg<T>(insn.vvvv), result = 0;
        for (T mask = cpu.load_rm<T>(insn); mask != 0; mask &= mask - 1, source >>= 1) {
            if (source & 1) {
                result |= mask & (T{0} - mask);
            }
        }
        cpu.set_reg<T>(insn.reg, result);
    }
};

template <class T>
struct Pext {
    static void run(Cpu& cpu, const Insn& insn) {
        const T source = cpu.reg<T>(insn.vvvv);
        T result = 0;
        T place = 1;
        for (T mask = cpu.load_rm<T>(insn); mask != 0; mask &= mask - 1, place <<= 1) {
            if (source & mask & (T{0} - mask)) {
                result |= place;
            }
        }
        cpu.set_reg<T>(insn.reg, result);
    }
};

template <class T>
struct Rorx {
    static void run(Cpu& cpu, const Insn& insn) {
        cpu.set_reg<T>(insn.reg, std::rotr(cpu.load_rm<T>(insn), static_cast<int>(insn.imm % width_of<T>)));
    }
};

template <class T>
struct Sarx {
    static void run(Cpu& cpu, const Insn& insn) {
        const auto value = static_cast<std::make_signed_t<T>>(cpu.load_rm<T>(insn));
        cpu.set_reg<T>(insn.reg, static_cast<T>(value >> (cpu.reg<T>(insn.vvvv) % width_of<T>)));
    }
};

template <class T>
struct Shlx {
    static void run(Cpu& cpu, const Insn& insn) {
        cpu.set_reg<T>(insn.reg, cpu.load_rm<T>(insn) << (cpu.reg<T>(insn.vvvv) % width_of<T>));
    }
};

template <class T>
struct Shrx {
    static void run(Cpu& cpu, const Insn& insn) {
        cpu.set_reg<T>(insn.reg, cpu.load_rm<T>(insn) >> (cpu.reg<T>(insn.vvvv) % width_of<T>));
    }
};

// ---- ADX: two independent carry chains; no other flag changes ----

template <class T>
T add_with(Cpu& cpu, const Insn& insn, bool carry_in, bool& carry_out) {
    const auto sum = static_cast<Wide<T>>(cpu.reg<T>(insn.reg)) + cpu.load_rm<T>(insn) + carry_in;
    carry_out = sum >> width_of<T>;
    return static_cast<T>(sum);
}

template <class T>
struct Adcx {
    static void run(Cpu& cpu, const Insn& insn) {
        bool carry = false;
        cpu.set_reg<T>(insn.reg, add_with<T>(cpu, insn, cpu.flags.cf(), carry));
        cpu.flags.set_cf(carry);
    }
};

template <class T>
struct Adox {
    static void run(Cpu& cpu, const Insn& insn) {
        bool carry = false;
        cpu.set_reg<T>(insn.reg, add_with<T>(cpu, insn, cpu.flags.of(), carry));
        cpu.flags.set_of(carry);
    }
};

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_ANDN, select_32_or_64<Andn>}, {ZYDIS_MNEMONIC_BEXTR, select_32_or_64<Bextr>},
    {ZYDIS_MNEMONIC_BLSI, select_32_or_64<Blsi>}, {ZYDIS_MNEMONIC_BLSMSK, select_32_or_64<Blsmsk>},
    {ZYDIS_MNEMONIC_BLSR, select_32_or_64<Blsr>}, {ZYDIS_MNEMONIC_BZHI, select_32_or_64<Bzhi>},
    {ZYDIS_MNEMONIC_MULX, select_32_or_64<Mulx>}, {ZYDIS_MNEMONIC_PDEP, select_32_or_64<Pdep>},
    {ZYDIS_MNEMONIC_PEXT, select_32_or_64<Pext>}, {ZYDIS_MNEMONIC_RORX, select_32_or_64<Rorx>},
    {ZYDIS_MNEMONIC_SARX, select_32_or_64<Sarx>}, {ZYDIS_MNEMONIC_SHLX, select_32_or_64<Shlx>},
    {ZYDIS_MNEMONIC_SHRX, select_32_or_64<Shrx>}, {ZYDIS_MNEMONIC_ADCX, select_32_or_64<Adcx>},
    {ZYDIS_MNEMONIC_ADOX, select_32_or_64<Adox>},
};

} // namespace

Rows bmi_rows() { return rows; }

} // namespace strata::cpu::interpreter
