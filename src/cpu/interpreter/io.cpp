// IN, OUT, INS, OUTS, and who may use which port. SDM volume 1 chapter 19.
#include "base/bits.hpp"
#include "cpu/interpreter/descriptors.hpp"
#include "cpu/interpreter/system_rows.hpp"

namespace strata::cpu::interpreter {
namespace {

// The bits of the TSS's I/O map for `size` ports from `port` on; all ones where the TSS ends or has no map.
std::uint32_t denied_ports(Cpu& cpu, std::uint16_t port, unsigned size) {
    constexpr std::uint32_t io_map_base = 0x66;
    constexpr std::uint32_t all = ~std::uint32_t{0};
    const x86::Segment& tr = cpu.system.tr;
    const bool has_map = (tr.type() & 8) != 0; // a 32- or 64-bit TSS
    if (tr.unusable || !has_map || tr.limit < io_map_base + 1) {
        return all;
    }
    const auto map = cpu.load_linear<std::uint16_t>(table_address(cpu, tr.base, io_map_base), true);
    const std::uint32_t offset = map + port / 8U;
    if (offset + 1 > tr.limit) {
        return all; // the processor reads two bytes always
    }
    const auto bits = cpu.load_linear<std::uint16_t>(table_address(cpu, tr.base, offset), true);
    return (bits >> (port % 8U)) & ((1U << size) - 1);
}

void check_port(Cpu& cpu, std::uint16_t port, unsigned size) {
    if (!cpu.io_permitted(port, size)) {
        cpu.raise_gp(0);
    }
    cpu.note_port(port, size);
}

// ---- IN, OUT ----

template <class T>
void input(Cpu& cpu, std::uint16_t port) {
    check_port(cpu, port, sizeof(T));
    const auto value = static_cast<T>(cpu.bus().read_port(port, sizeof(T)));
    cpu.set_reg<T>(x86::rax, value);
}

// A write may have raised an interrupt or asked the machine to stop: the run loop looks before it goes on.
template <class T>
void output(Cpu& cpu, std::uint16_t port) {
    check_port(cpu, port, sizeof(T));
    cpu.bus().write_port(port, sizeof(T), cpu.reg<T>(x86::rax));
    cpu.end_block();
}

template <class T, bool immediate>
void in(Cpu& cpu, const Insn& insn) {
    input<T>(cpu, immediate ? static_cast<std::uint8_t>(insn.imm) : cpu.reg<std::uint16_t>(x86::rdx));
}

template <class T, bool immediate>
void out(Cpu& cpu, const Insn& insn) {
    output<T>(cpu, immediate ? static_cast<std::uint8_t>(insn.imm) : cpu.reg<std::uint16_t>(x86::rdx));
}

bool has_immediate(const Decoded& decoded) {
    for (unsigned i = 0; i < decoded.info.operand_count; ++i) {
        if (decoded.operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            return true;
        }
    }
    return false;
}

using std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t;

// I/O has no 64-bit form: REX.W leaves 32 bits.
Handler by_io_size(const Insn& insn, Handler byte, Handler word, Handler doubleword) {
    return insn.operand_size == 0 ? byte : insn.operand_size == 1 ? word : doubleword;
}

template <bool immediate>
Handler select_in(const Insn& insn) {
    return by_io_size(insn, in<uint8_t, immediate>, in<uint16_t, immediate>, in<uint32_t, immediate>);
}

template <bool immediate>
Handler select_out(const Insn& insn) {
    return by_io_size(insn, out<uint8_t, immediate>, out<uint16_t, immediate>, out<uint32_t, immediate>);
}

Handler select_input(const Decoded& decoded, Insn& insn) {
    return has_immediate(decoded) ? select_in<true>(insn) : select_in<false>(insn);
}

Handler select_output(const Decoded& decoded, Insn& insn) {
    return has_immediate(decoded) ? select_out<true>(insn) : select_out<false>(insn);
}

// ---- INS, OUTS ----

// Moves an index or count register by `by`, as wide as the address size.
void advance(Cpu& cpu, const Insn& insn, unsigned number, uint64_t by) {
    switch (insn.address_size) {
    case 1: cpu.set_reg(number, static_cast<uint16_t>(cpu.regs[number] + by)); break;
    case 2: cpu.set_reg(number, static_cast<uint32_t>(cpu.regs[number] + by)); break;
    default: cpu.regs[number] += by; break;
    }
}

template <class T>
uint64_t step(const Cpu& cpu) {
    return (cpu.other_flags & x86::flag::df) != 0 ? ~uint64_t{sizeof(T)} + 1 : sizeof(T);
}

// The page is checked before the port is read, since reading a port cannot be undone.
template <class T>
void input_string_once(Cpu& cpu, const Insn& insn) {
    const uint64_t offset = Cpu::masked_address(insn, cpu.regs[x86::rdi]);
    cpu.probe_linear(cpu.linear(x86::es, offset, sizeof(T), Access::write), sizeof(T), Access::write);
    const auto port = cpu.reg<uint16_t>(x86::rdx);
    cpu.store<T>(x86::es, offset, static_cast<T>(cpu.bus().read_port(port, sizeof(T))));
    advance(cpu, insn, x86::rdi, step<T>(cpu));
}

template <class T>
void output_string_once(Cpu& cpu, const Insn& insn) {
    const auto value = cpu.load<T>(insn.segment, Cpu::masked_address(insn, cpu.regs[x86::rsi]));
    cpu.bus().write_port(cpu.reg<uint16_t>(x86::rdx), sizeof(T), value);
    advance(cpu, insn, x86::rsi, step<T>(cpu));
}

// One element, or with REP as many as CX says, until something wants the processor's attention: then RIP is
// left at the instruction, with what remains in CX.
template <class T, auto once>
void string(Cpu& cpu, const Insn& insn) {
    check_port(cpu, cpu.reg<uint16_t>(x86::rdx), sizeof(T));
    if (insn.rep == 0) {
        once(cpu, insn);
        cpu.end_block();
        return;
    }
    while (Cpu::masked_address(insn, cpu.regs[x86::rcx]) != 0) {
        once(cpu, insn);
        advance(cpu, insn, x86::rcx, ~uint64_t{0});
        if (cpu.interrupted() && Cpu::masked_address(insn, cpu.regs[x86::rcx]) != 0) {
            cpu.leave_repetition(insn);
            break;
        }
    }
    cpu.end_block();
}

Handler select_input_string(const Decoded&, Insn& insn) {
    return by_io_size(insn, string<uint8_t, input_string_once<uint8_t>>,
                      string<uint16_t, input_string_once<uint16_t>>,
                      string<uint32_t, input_string_once<uint32_t>>);
}

Handler select_output_string(const Decoded&, Insn& insn) {
    return by_io_size(insn, string<uint8_t, output_string_once<uint8_t>>,
                      string<uint16_t, output_string_once<uint16_t>>,
                      string<uint32_t, output_string_once<uint32_t>>);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_IN, select_input},
    {ZYDIS_MNEMONIC_OUT, select_output},
    {ZYDIS_MNEMONIC_INSB, select_input_string},
    {ZYDIS_MNEMONIC_INSW, select_input_string},
    {ZYDIS_MNEMONIC_INSD, select_input_string},
    {ZYDIS_MNEMONIC_OUTSB, select_output_string},
    {ZYDIS_MNEMONIC_OUTSW, select_output_string},
    {ZYDIS_MNEMONIC_OUTSD, select_output_string},
};

} // namespace

bool Cpu::io_permitted(std::uint16_t port, unsigned size) {
    const bool by_privilege = !protected_mode() || (!v86() && cpl_ <= iopl());
    return by_privilege || denied_ports(*this, port, size) == 0;
}

Rows io_rows() { return rows; }

} // namespace strata::cpu::interpreter
