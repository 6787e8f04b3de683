// Binary and unary arithmetic and logic: ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST, INC, DEC, NEG, NOT.
// SDM volume 2.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

namespace strata::cpu::interpreter {

namespace {

// An operation gives the result from the operands; `flags` then sets the flags from all three.
struct Add {
    template <class T>
    static T result(const Flags&, T a, T b) {
        return static_cast<T>(a + b);
    }

    template <class T>
    static void flags(Flags& flags, T a, T b, T r) {
        flags.set_add(a, b, r);
    }
};

struct Adc {
    template <class T>
    static T result(const Flags& flags, T a, T b) {
        return static_cast<T>(a + b + flags.cf());
    }

    template <class T>
    static void flags(Flags& flags, T a, T b, T r) {
        flags.set_add(a, b, r);
    }
};

struct Sub {
    template <class T>
    static T result(const Flags&, T a, T b) {
        return static_cast<T>(a - b);
    }

    template <class T>
    static void flags(Flags& flags, T a, T b, T r) {
        flags.set_sub(a, b, r);
    }
};

struct Sbb {
    template <class T>
    static T result(const Flags& flags, T a, T b) {
        return static_cast<T>(a - b - flags.cf());
    }

    template <class T>
    static void flags(Flags& flags, T a, T b, T r) {
        flags.set_sub(a, b, r);
    }
};

struct And {
    template <class T>
    static T result(const Flags&, T a, T b) {
        return a & b;
    }

    template <class T>
    static void flags(Flags& flags, T, T, T r) {
        flags.set_logic(r);
    }
};

struct Or {
    template <class T>
    static T result(const Flags&, T a, T b) {
        return a | b;
    }

    template <class T>
    static void flags(Flags& flags, T, T, T r) {
        flags.set_logic(r);
    }
};

struct Xor {
    template <class T>
    static T result(const Flags&, T a, T b) {
        return a ^ b;
    }

    template <class T>
    static void flags(Flags& flags, T, T, T r) {
        flags.set_logic(r);
    }
};

template <class Op, class T>
void reg_reg(Cpu& cpu, unsigned to, T b) {
    const T a = cpu.reg<T>(to);
    const T r = Op::result(cpu.flags, a, b);
    cpu.set_reg<T>(to, r);
    Op::flags(cpu.flags, a, b, r);
}

template <class Op, class T>
void memory_destination(Cpu& cpu, const Insn& insn, T b) {
    const Flags before = cpu.flags;
    T r{};
    const T a = cpu.modify<T>(insn, [&](T old) { return r = Op::result(before, old, b); });
    Op::flags(cpu.flags, a, b, r);
}

// The forms: destination, source.
template <class Op, class T>
void reg_from_reg(Cpu& cpu, const Insn& insn) {
    reg_reg<Op, T>(cpu, insn.reg, cpu.reg<T>(insn.rm));
}

template <class Op, class T>
void rm_from_reg(Cpu& cpu, const Insn& insn) {
    reg_reg<Op, T>(cpu, insn.rm, cpu.reg<T>(insn.reg));
}

template <class Op, class T>
void reg_from_memory(Cpu& cpu, const Insn& insn) {
    reg_reg<Op, T>(cpu, insn.reg, cpu.load<T>(insn));
}

template <class Op, class T>
void reg_from_imm(Cpu& cpu, const Insn& insn) {
    reg_reg<Op, T>(cpu, insn.rm, static_cast<T>(insn.imm));
}

template <class Op, class T>
void memory_from_reg(Cpu& cpu, const Insn& insn) {
    memory_destination<Op, T>(cpu, insn, cpu.reg<T>(insn.reg));
}

template <class Op, class T>
void memory_from_imm(Cpu& cpu, const Insn& insn) {
    memory_destination<Op, T>(cpu, insn, static_cast<T>(insn.imm));
}

template <class Op>
Handler select_binary(const Decoded& decoded, Insn& insn) {
    return by_width(insn, [&]<class T>(T) -> Handler {
        switch (form_of(decoded)) {
        case Form::reg_rm: return insn.memory ? reg_from_memory<Op, T> : reg_from_reg<Op, T>;
        case Form::rm_reg: return insn.memory ? memory_from_reg<Op, T> : rm_from_reg<Op, T>;
        default: return insn.memory ? memory_from_imm<Op, T> : reg_from_imm<Op, T>;
        }
    });
}

// CMP and TEST: flags alone.
template <class Op, class T>
void compare(Cpu& cpu, T a, T b) {
    Op::flags(cpu.flags, a, b, Op::result(cpu.flags, a, b));
}

template <class Op, class T, Form form, bool memory>
void compare_operands(Cpu& cpu, const Insn& insn) {
    const T rm = memory ? cpu.load<T>(insn) : cpu.reg<T>(insn.rm);
    if constexpr (form == Form::reg_rm) {
        compare<Op, T>(cpu, cpu.reg<T>(insn.reg), rm);
    } else if constexpr (form == Form::rm_reg) {
        compare<Op, T>(cpu, rm, cpu.reg<T>(insn.reg));
    } else {
        compare<Op, T>(cpu, rm, static_cast<T>(insn.imm));
    }
}

template <class Op, class T, Form form>
Handler pick_compare(const Insn& insn) {
    return insn.memory ? compare_operands<Op, T, form, true> : compare_operands<Op, T, form, false>;
}

template <class Op>
Handler select_compare(const Decoded& decoded, Insn& insn) {
    return by_width(insn, [&]<class T>(T) -> Handler {
        switch (form_of(decoded)) {
        case Form::reg_rm: return pick_compare<Op, T, Form::reg_rm>(insn);
        case Form::rm_reg: return pick_compare<Op, T, Form::rm_reg>(insn);
        default: return pick_compare<Op, T, Form::rm_imm>(insn);
        }
    });
}

struct Inc {
    template <class T>
    static T result(T a) {
        return static_cast<T>(a + 1);
    }

    template <class T>
    static void flags(Flags& flags, T a, T r) {
        flags.set_add_keep_cf(a, T{1}, r);
    }
};

struct Dec {
    template <class T>
    static T result(T a) {
        return static_cast<T>(a - 1);
    }

    template <class T>
    static void flags(Flags& flags, T a, T r) {
        flags.set_sub_keep_cf(a, T{1}, r);
    }
};

struct Neg {
    template <class T>
    static T result(T a) {
        return static_cast<T>(-a);
    }

    template <class T>
    static void flags(Flags& flags, T a, T r) {
        flags.set_sub(T{0}, a, r);
    }
};

struct Not {
    template <class T>
    static T result(T a) {
        return static_cast<T>(~a);
    }

    template <class T>
    static void flags(Flags&, T, T) {}
};

template <class Op, class T>
void unary_reg(Cpu& cpu, const Insn& insn) {
    const T a = cpu.reg<T>(insn.rm);
    const T r = Op::result(a);
    cpu.set_reg<T>(insn.rm, r);
    Op::flags(cpu.flags, a, r);
}

template <class Op, class T>
void unary_memory(Cpu& cpu, const Insn& insn) {
    const T a = cpu.modify<T>(insn, [](T old) { return Op::result(old); });
    Op::flags(cpu.flags, a, Op::result(a));
}

template <class Op>
Handler select_unary(const Decoded& decoded, Insn& insn) {
    if (decoded.operands[0].encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
        insn.rm = insn.reg;
    }
    return by_width(
        insn, [&]<class T>(T) -> Handler { return insn.memory ? unary_memory<Op, T> : unary_reg<Op, T>; });
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_ADD, select_binary<Add>},   {ZYDIS_MNEMONIC_ADC, select_binary<Adc>},
    {ZYDIS_MNEMONIC_SUB, select_binary<Sub>},   {ZYDIS_MNEMONIC_SBB, select_binary<Sbb>},
    {ZYDIS_MNEMONIC_AND, select_binary<And>},   {ZYDIS_MNEMONIC_OR, select_binary<Or>},
    {ZYDIS_MNEMONIC_XOR, select_binary<Xor>},   {ZYDIS_MNEMONIC_CMP, select_compare<Sub>},
    {ZYDIS_MNEMONIC_TEST, select_compare<And>}, {ZYDIS_MNEMONIC_INC, select_unary<Inc>},
    {ZYDIS_MNEMONIC_DEC, select_unary<Dec>},    {ZYDIS_MNEMONIC_NEG, select_unary<Neg>},
    {ZYDIS_MNEMONIC_NOT, select_unary<Not>},
};

} // namespace

Rows arithmetic_rows() { return rows; }

} // namespace strata::cpu::interpreter
