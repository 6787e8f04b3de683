// PUSH, POP, PUSHA, POPA, ENTER, LEAVE, PUSHF, POPF. SDM volume 2; virtual-8086 mode extensions: volume 3
// section 20.3.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/groups.hpp"
#include "cpu/interpreter/select.hpp"

namespace strata::cpu::interpreter {

namespace {

namespace flag = x86::flag;

// ---- PUSH and POP ----

template <class T>
void push_reg(Cpu& cpu, const Insn& insn) {
    cpu.push_as<T>(cpu.reg<T>(insn.rm));
}

template <class T>
void push_memory(Cpu& cpu, const Insn& insn) {
    cpu.push_as<T>(cpu.load<T>(insn));
}

template <class T>
void push_imm(Cpu& cpu, const Insn& insn) {
    cpu.push_as<T>(static_cast<T>(insn.imm));
}

template <class T>
void pop_reg(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.rm, cpu.pop_as<T>());
}

// The destination's address counts from rSP as it is after the pop.
template <class T>
void pop_memory(Cpu& cpu, const Insn& insn) {
    const std::uint64_t before = cpu.regs[x86::rsp];
    const T value = cpu.pop_as<T>();
    const std::uint64_t offset = cpu.effective_address(insn), after = cpu.regs[x86::rsp];
    cpu.regs[x86::rsp] = before;
    cpu.store<T>(insn.segment, offset, value);
    cpu.regs[x86::rsp] = after;
}

bool is_segment_register(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

void take_opcode_register(const Decoded& decoded, Insn& insn) {
    if (decoded.operands[0].encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
        insn.rm = insn.reg;
    }
}

Handler select_push(const Decoded& decoded, Insn& insn) {
    if (is_segment_register(decoded.operands[0])) {
        return nullptr;
    }
    take_opcode_register(decoded, insn);
    return by_word_width(insn, [&]<class T>(T) -> Handler {
        if (decoded.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            return push_imm<T>;
        }
        return insn.memory ? push_memory<T> : push_reg<T>;
    });
}

Handler select_pop(const Decoded& decoded, Insn& insn) {
    if (is_segment_register(decoded.operands[0])) {
        return nullptr;
    }
    take_opcode_register(decoded, insn);
    return by_word_width(insn,
                         [&]<class T>(T) -> Handler { return insn.memory ? pop_memory<T> : pop_reg<T>; });
}

// ---- all registers ----

// rSP moves only when all is stored.
template <class T>
void pusha(Cpu& cpu, const Insn&) {
    const std::uint64_t mask = cpu.stack_mask();
    std::uint64_t top = cpu.regs[x86::rsp] & mask;
    for (unsigned number = 0; number < 8; ++number) {
        top = (top - sizeof(T)) & mask;
        cpu.store<T>(x86::ss, top, cpu.reg<T>(number));
    }
    cpu.set_stack_pointer(top);
}

template <class T>
void popa(Cpu& cpu, const Insn&) {
    const std::uint64_t mask = cpu.stack_mask();
    std::uint64_t top = cpu.regs[x86::rsp] & mask;
    std::array<T, 8> values;
    for (unsigned number = 8; number-- > 0;) {
        values[number] = cpu.load<T>(x86::ss, top);
        top = (top + sizeof(T)) & mask;
    }
    for (unsigned number = 0; number < 8; ++number) {
        if (number != x86::rsp) {
            cpu.set_reg<T>(number, values[number]);
        }
    }
    cpu.set_stack_pointer(top);
}

// ---- frames: T is the operand size ----

// imm: bytes of locals; extra: the nesting level.
template <class T>
void enter(Cpu& cpu, const Insn& insn) {
    const std::uint64_t mask = cpu.stack_mask();
    const unsigned level = insn.extra % 32;
    std::uint64_t top = (cpu.regs[x86::rsp] - sizeof(T)) & mask;
    std::uint64_t base = cpu.regs[x86::rbp] & mask;
    cpu.store<T>(x86::ss, top, cpu.reg<T>(x86::rbp));
    const std::uint64_t frame = top;
    for (unsigned i = 1; i < level; ++i) {
        base = (base - sizeof(T)) & mask;
        const T outer = cpu.load<T>(x86::ss, base);
        top = (top - sizeof(T)) & mask;
        cpu.store<T>(x86::ss, top, outer);
    }
    if (level != 0) {
        top = (top - sizeof(T)) & mask;
        cpu.store<T>(x86::ss, top, static_cast<T>(frame));
    }
    top = (top - insn.imm) & mask;
    // A push to the new top must be possible, or the instruction faults.
    cpu.probe_at(cpu.linear(x86::ss, top, sizeof(T), Access::write), sizeof(T), Access::write, x86::ss);
    cpu.set_reg<T>(x86::rbp, static_cast<T>(frame));
    cpu.set_stack_pointer(top);
}

template <class T>
void leave(Cpu& cpu, const Insn&) {
    const std::uint64_t frame = cpu.regs[x86::rbp] & cpu.stack_mask();
    const T base = cpu.load<T>(x86::ss, frame);
    cpu.set_stack_pointer(frame + sizeof(T));
    cpu.set_reg<T>(x86::rbp, base);
}

Handler select_enter(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return enter<T>; });
}

Handler select_leave(const Decoded&, Insn& insn) {
    return by_word_width(insn, []<class T>(T) -> Handler { return leave<T>; });
}

// ---- flags ----

// In virtual-8086 mode below IOPL 3 the 16-bit forms work on VIF, where CR4.VME allows; the others fault.
template <class T>
bool virtual_interrupt_flag(Cpu& cpu) {
    if (!cpu.v86() || cpu.iopl() == 3) {
        return false;
    }
    if (sizeof(T) != 2 || (cpu.system.cr4 & x86::cr4::vme) == 0) {
        cpu.raise_gp();
    }
    return true;
}

template <class T>
void pushf(Cpu& cpu, const Insn&) {
    std::uint64_t image = cpu.rflags() & ~(flag::rf | flag::vm);
    if (virtual_interrupt_flag<T>(cpu)) {
        image = (image & ~flag::if_) | flag::iopl | (image & flag::vif ? flag::if_ : 0);
    }
    cpu.push_as<T>(static_cast<T>(image));
}

// The flags that software may change, apart from privilege.
std::uint64_t changeable_flags(const Cpu& cpu) {
    std::uint64_t mask = flag::arithmetic | flag::tf | flag::if_ | flag::df | flag::iopl | flag::nt;
    if (cpu.model().has(x86::Feature::i486)) {
        mask |= flag::ac;
    }
    if (cpu.model().has(x86::Feature::cpuid)) {
        mask |= flag::id;
    }
    return mask;
}

template <class T>
void popf(Cpu& cpu, const Insn&) {
    const bool use_vif = virtual_interrupt_flag<T>(cpu);
    const std::uint64_t top = cpu.regs[x86::rsp] & cpu.stack_mask();
    std::uint64_t image = cpu.load<T>(x86::ss, top);
    std::uint64_t mask = changeable_flags(cpu);
    if constexpr (sizeof(T) == 2) {
        mask &= 0xFFFF;
    }
    const std::uint64_t before = cpu.rflags();
    if (cpu.cpl() != 0) {
        mask &= ~flag::iopl;
    }
    if (use_vif) {
        const bool enable = image & flag::if_;
        if ((image & flag::tf) || (enable && (before & flag::vip))) {
            cpu.raise_gp();
        }
        image = (image & ~flag::vif) | (enable ? flag::vif : 0);
        mask = (mask & ~flag::if_) | flag::vif;
    } else if (cpu.cpl() > cpu.iopl()) {
        mask &= ~flag::if_;
    }
    cpu.set_stack_pointer(top + sizeof(T));
    cpu.set_rflags((before & ~mask & ~flag::rf) | (image & mask));
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_PUSH, select_push},
    {ZYDIS_MNEMONIC_POP, select_pop},
    {ZYDIS_MNEMONIC_PUSHA, always<pusha<std::uint16_t>>},
    {ZYDIS_MNEMONIC_PUSHAD, always<pusha<std::uint32_t>>},
    {ZYDIS_MNEMONIC_POPA, always<popa<std::uint16_t>>},
    {ZYDIS_MNEMONIC_POPAD, always<popa<std::uint32_t>>},
    {ZYDIS_MNEMONIC_ENTER, select_enter},
    {ZYDIS_MNEMONIC_LEAVE, select_leave},
    {ZYDIS_MNEMONIC_PUSHF, always<pushf<std::uint16_t>>},
    {ZYDIS_MNEMONIC_PUSHFD, always<pushf<std::uint32_t>>},
    {ZYDIS_MNEMONIC_PUSHFQ, always<pushf<std::uint64_t>>},
    {ZYDIS_MNEMONIC_POPF, always<popf<std::uint16_t>>},
    {ZYDIS_MNEMONIC_POPFD, always<popf<std::uint32_t>>},
    {ZYDIS_MNEMONIC_POPFQ, always<popf<std::uint64_t>>},
};

} // namespace

Rows stack_rows() { return rows; }

} // namespace strata::cpu::interpreter
