// The instructions that transfer control between segments, privileges and tasks: far JMP, CALL and RET, INT
// and its kin, IRET. SDM volume 2; volume 3 section 20.3 (INT n in virtual-8086 mode).
#include "cpu/interpreter/descriptors.hpp"
#include "cpu/interpreter/events.hpp"
#include "cpu/interpreter/system_rows.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Vector;

// ---- JMP, CALL ----

struct FarPointer {
    std::uint16_t selector;
    std::uint64_t offset;
};

FarPointer immediate_pointer(const Insn& insn) {
    return {static_cast<std::uint16_t>(insn.imm >> 32), insn.imm & 0xFFFF'FFFF};
}

template <class T>
FarPointer memory_pointer(Cpu& cpu, const Insn& insn) {
    const std::uint64_t address = cpu.effective_address(insn);
    const auto offset = cpu.load<T>(insn.segment, address);
    return {cpu.load<std::uint16_t>(insn.segment, next_offset(insn, address, sizeof(T))), offset};
}

void jump_immediate(Cpu& cpu, const Insn& insn) {
    const FarPointer to = immediate_pointer(insn);
    cpu.far_jump(to.selector, to.offset, operand_bytes(insn));
}

template <class T>
void jump_memory(Cpu& cpu, const Insn& insn) {
    const FarPointer to = memory_pointer<T>(cpu, insn);
    cpu.far_jump(to.selector, to.offset, sizeof(T));
}

void call_immediate(Cpu& cpu, const Insn& insn) {
    const FarPointer to = immediate_pointer(insn);
    cpu.far_call(to.selector, to.offset, operand_bytes(insn));
}

template <class T>
void call_memory(Cpu& cpu, const Insn& insn) {
    const FarPointer to = memory_pointer<T>(cpu, insn);
    cpu.far_call(to.selector, to.offset, sizeof(T));
}

bool is_far(const Decoded& decoded) { return decoded.info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR; }

template <auto immediate, auto word, auto doubleword, auto quadword>
Handler select_far(const Decoded& decoded, Insn& insn) {
    if (!is_far(decoded)) {
        return nullptr;
    }
    return insn.memory ? by_operand_size(insn, word, doubleword, quadword) : immediate;
}

using std::uint16_t, std::uint32_t, std::uint64_t;

constexpr auto select_jump =
    select_far<jump_immediate, jump_memory<uint16_t>, jump_memory<uint32_t>, jump_memory<uint64_t>>;
constexpr auto select_call =
    select_far<call_immediate, call_memory<uint16_t>, call_memory<uint32_t>, call_memory<uint64_t>>;

// ---- RET, IRET ----

void return_far(Cpu& cpu, const Insn& insn) {
    cpu.far_return(operand_bytes(insn), static_cast<std::uint16_t>(insn.imm));
}

Handler select_return(const Decoded& decoded, Insn&) { return is_far(decoded) ? return_far : nullptr; }

template <unsigned size>
void return_from_interrupt(Cpu& cpu, const Insn&) {
    cpu.interrupt_return(size);
}

// ---- INT ----

// Whether the bitmap below the TSS's I/O map leaves this vector to the 8086 program's own table.
bool is_redirected(Cpu& cpu, std::uint8_t vector) {
    if ((cpu.system.cr4 & x86::cr4::vme) == 0) {
        return false;
    }
    const x86::Segment& tr = cpu.system.tr;
    constexpr unsigned io_map_base = 0x66, bitmap_size = 32;
    const auto map = cpu.load_linear<std::uint16_t>(table_address(cpu, tr.base, io_map_base), true);
    const std::uint32_t offset = map - bitmap_size + vector / 8U;
    if (map < bitmap_size || offset > tr.limit) {
        cpu.raise_gp(0);
    }
    const auto byte = cpu.load_linear<std::uint8_t>(table_address(cpu, tr.base, offset), true);
    return !test_bit(byte, vector % 8);
}

void interrupt(Cpu& cpu, const Insn& insn) {
    const auto vector = static_cast<std::uint8_t>(insn.imm);
    if (cpu.v86()) {
        if (is_redirected(cpu, vector)) {
            deliver_redirected(cpu, vector);
            return;
        }
        if (cpu.iopl() < 3) {
            cpu.raise_gp(0);
        }
    }
    cpu.deliver(vector, Cpu::EventKind::software);
}

void breakpoint(Cpu& cpu, const Insn&) {
    cpu.deliver(static_cast<std::uint8_t>(Vector::breakpoint), Cpu::EventKind::software);
}

void overflow(Cpu& cpu, const Insn&) {
    if (cpu.flags.of()) {
        cpu.deliver(static_cast<std::uint8_t>(Vector::overflow), Cpu::EventKind::software);
    }
}

void debug_trap(Cpu& cpu, const Insn&) {
    cpu.deliver(static_cast<std::uint8_t>(Vector::debug), Cpu::EventKind::software_privileged);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_JMP, select_jump},
    {ZYDIS_MNEMONIC_CALL, select_call},
    {ZYDIS_MNEMONIC_RET, select_return},
    {ZYDIS_MNEMONIC_IRET, select_always<return_from_interrupt<2>>},
    {ZYDIS_MNEMONIC_IRETD, select_always<return_from_interrupt<4>>},
    {ZYDIS_MNEMONIC_IRETQ, select_always<return_from_interrupt<8>>},
    {ZYDIS_MNEMONIC_INT, select_always<interrupt>},
    {ZYDIS_MNEMONIC_INT3, select_always<breakpoint>},
    {ZYDIS_MNEMONIC_INTO, select_always<overflow>},
    {ZYDIS_MNEMONIC_INT1, select_always<debug_trap>},
};

} // namespace

Rows far_rows() { return rows; }

} // namespace strata::cpu::interpreter
