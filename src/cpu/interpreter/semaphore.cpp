// XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B. SDM volume 2.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"
#include "cpu/interpreter/wide_integer.hpp"

namespace strata::cpu::interpreter {

namespace {

template <class T>
void xadd_reg(Cpu& cpu, const Insn& insn) {
    const T to = cpu.reg<T>(insn.rm), from = cpu.reg<T>(insn.reg), sum = static_cast<T>(to + from);
    cpu.set_reg<T>(insn.reg, to);
    cpu.set_reg<T>(insn.rm, sum);
    cpu.flags.set_add(to, from, sum);
}

template <class T>
void xadd_memory(Cpu& cpu, const Insn& insn) {
    const T from = cpu.reg<T>(insn.reg);
    const T to = cpu.modify<T>(insn, [from](T old) { return static_cast<T>(old + from); });
    cpu.set_reg<T>(insn.reg, to);
    cpu.flags.set_add(to, from, static_cast<T>(to + from));
}

Handler select_xadd(const Decoded&, Insn& insn) {
    return by_width(insn, [&]<class T>(T) -> Handler { return insn.memory ? xadd_memory<T> : xadd_reg<T>; });
}

template <class T>
void compare_with_accumulator(Cpu& cpu, T value) {
    const T accumulator = cpu.reg<T>(x86::rax);
    cpu.flags.set_sub(accumulator, value, static_cast<T>(accumulator - value));
    if (accumulator != value) {
        cpu.set_reg<T>(x86::rax, value);
    }
}

template <class T>
void cmpxchg_reg(Cpu& cpu, const Insn& insn) {
    const T value = cpu.reg<T>(insn.rm), replacement = cpu.reg<T>(insn.reg);
    const bool equal = cpu.reg<T>(x86::rax) == value;
    compare_with_accumulator(cpu, value);
    if (equal) {
        cpu.set_reg<T>(insn.rm, replacement);
    }
}

// Memory is written, with its old value, where they differ too.
template <class T>
void cmpxchg_memory(Cpu& cpu, const Insn& insn) {
    const T expected = cpu.reg<T>(x86::rax), replacement = cpu.reg<T>(insn.reg);
    const T value = cpu.modify<T>(insn, [=](T old) { return old == expected ? replacement : old; });
    compare_with_accumulator(cpu, value);
}

Handler select_cmpxchg(const Decoded&, Insn& insn) {
    return by_width(insn,
                    [&]<class T>(T) -> Handler { return insn.memory ? cmpxchg_memory<T> : cmpxchg_reg<T>; });
}

// ---- double width: Half is the register size, Full the operand's ----

template <class Full, class Half>
Full join(const Cpu& cpu, unsigned high, unsigned low) {
    return static_cast<Full>(cpu.reg<Half>(high)) << width_of<Half> | cpu.reg<Half>(low);
}

template <class Full, class Half>
void cmpxchg_double(Cpu& cpu, const Insn& insn) {
    if constexpr (sizeof(Full) == 16) {
        if (cpu.linear(insn.segment, cpu.effective_address(insn), sizeof(Full), Access::write) %
                sizeof(Full) !=
            0) {
            cpu.raise_gp();
        }
    }
    const Full expected = join<Full, Half>(cpu, x86::rdx, x86::rax);
    const Full replacement = join<Full, Half>(cpu, x86::rcx, x86::rbx);
    const Full value = cpu.modify<Full>(insn, [=](Full old) { return old == expected ? replacement : old; });
    if (value != expected) {
        cpu.set_reg<Half>(x86::rax, static_cast<Half>(value));
        cpu.set_reg<Half>(x86::rdx, static_cast<Half>(value >> width_of<Half>));
    }
    cpu.flags.set_zf(value == expected);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_XADD, select_xadd},
    {ZYDIS_MNEMONIC_CMPXCHG, select_cmpxchg},
    {ZYDIS_MNEMONIC_CMPXCHG8B, always<cmpxchg_double<std::uint64_t, std::uint32_t>>},
    {ZYDIS_MNEMONIC_CMPXCHG16B, always<cmpxchg_double<Unsigned128, std::uint64_t>>},
};

} // namespace

Rows semaphore_rows() { return rows; }

} // namespace strata::cpu::interpreter
