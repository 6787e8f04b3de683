// Instructions on segment registers and descriptors: MOV, PUSH, POP of segment registers, LDS and its kin,
// LAR, LSL, VERR, VERW, ARPL, SWAPGS, RD/WR FS/GS BASE. SDM volume 2.
#include "cpu/interpreter/descriptors.hpp"
#include "cpu/interpreter/system_rows.hpp"

#include <algorithm>
#include <type_traits>

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::SystemType;

// ---- MOV, PUSH, POP ----

template <class T>
void move_from_segment(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.rm, cpu.system.segments[insn.reg].selector);
}

void store_segment(Cpu& cpu, const Insn& insn) {
    cpu.store<std::uint16_t>(insn, cpu.system.segments[insn.reg].selector);
}

// Loading SS holds back interrupts until the next instruction has executed, so that SP can be loaded too.
void load_with_shadow(Cpu& cpu, unsigned segment, std::uint16_t selector) {
    cpu.load_segment(segment, selector);
    if (segment == x86::ss) {
        cpu.movss_shadow = true;
        cpu.end_block();
    }
}

void move_to_segment(Cpu& cpu, const Insn& insn) {
    load_with_shadow(cpu, insn.reg, cpu.load_rm<std::uint16_t>(insn));
}

Handler select_move(const Decoded& decoded, Insn& insn) {
    const bool to_segment = segment_of(decoded.operands[0]).has_value();
    const auto segment = segment_of(decoded.operands[to_segment ? 0 : 1]);
    if (!segment) {
        return nullptr;
    }
    insn.reg = *segment;
    if (to_segment) {
        return *segment == x86::cs ? nullptr : move_to_segment;
    }
    if (insn.memory) {
        return store_segment;
    }
    return by_operand_size(insn, move_from_segment<std::uint16_t>, move_from_segment<std::uint32_t>,
                           move_from_segment<std::uint64_t>);
}

// With a 32-bit operand the slot has four bytes but, as on real processors, only two are accessed.
template <unsigned size>
void push_segment(Cpu& cpu, const Insn& insn) {
    const std::uint16_t selector = cpu.system.segments[insn.reg].selector;
    if constexpr (size == 4) {
        const std::uint64_t top = (cpu.regs[x86::rsp] - size) & cpu.stack_mask();
        cpu.store<std::uint16_t>(x86::ss, top, selector);
        cpu.set_stack_pointer(top);
    } else {
        cpu.push(selector, size);
    }
}

template <unsigned size>
void pop_segment(Cpu& cpu, const Insn& insn) {
    const std::uint64_t top = cpu.regs[x86::rsp] & cpu.stack_mask();
    using Slot = std::conditional_t<size == 8, std::uint64_t, std::uint16_t>;
    const auto selector = static_cast<std::uint16_t>(cpu.load<Slot>(x86::ss, top));
    const std::uint64_t mask = cpu.stack_mask(); // of the old stack
    load_with_shadow(cpu, insn.reg, selector);
    const std::uint64_t next = (top + size) & mask;
    cpu.regs[x86::rsp] = mask == 0xFFFF ? (cpu.regs[x86::rsp] & ~mask) | next : next;
}

template <auto word, auto doubleword, auto quadword>
Handler select_stack(const Decoded& decoded, Insn& insn) {
    const auto segment = segment_of(decoded.operands[0]);
    if (!segment) {
        return nullptr;
    }
    insn.reg = *segment;
    switch (decoded.info.operand_width) {
    case 16: return word;
    case 32: return doubleword;
    default: return quadword;
    }
}

// ---- LDS, LES, LFS, LGS, LSS ----

template <unsigned segment, class T>
void load_far_pointer(Cpu& cpu, const Insn& insn) {
    const std::uint64_t address = cpu.effective_address(insn);
    const auto offset = cpu.load<T>(insn.segment, address);
    const auto selector = cpu.load<std::uint16_t>(insn.segment, next_offset(insn, address, sizeof(T)));
    cpu.load_segment(segment, selector);
    cpu.set_reg<T>(insn.reg, offset);
}

template <unsigned segment>
Handler select_far_pointer(const Decoded&, Insn& insn) {
    if (!insn.memory) {
        return nullptr;
    }
    return by_operand_size(insn, load_far_pointer<segment, std::uint16_t>,
                           load_far_pointer<segment, std::uint32_t>,
                           load_far_pointer<segment, std::uint64_t>);
}

// ---- LAR, LSL, VERR, VERW: questions about a descriptor, answered in ZF ----

bool reachable(const Cpu& cpu, std::uint16_t selector, const Descriptor& descriptor) {
    return descriptor.is_conforming_code() || descriptor.dpl() >= std::max(cpu.cpl(), x86::rpl_of(selector));
}

bool has_limit(const Cpu& cpu, const Descriptor& descriptor) {
    switch (descriptor.system_type()) {
    case SystemType::tss16_available:
    case SystemType::tss16_busy: return !cpu.long_mode();
    case SystemType::ldt:
    case SystemType::tss32_available:
    case SystemType::tss32_busy: return true;
    default: return false;
    }
}

bool has_rights(const Cpu& cpu, const Descriptor& descriptor) {
    switch (descriptor.system_type()) {
    case SystemType::call_gate16:
    case SystemType::task_gate: return !cpu.long_mode();
    case SystemType::call_gate32: return true;
    default: return has_limit(cpu, descriptor);
    }
}

// The descriptor that LAR or LSL may look at; `answers` says which system types have an answer.
template <class Answers>
std::optional<Descriptor> visible_descriptor(Cpu& cpu, std::uint16_t selector, Answers answers) {
    if (x86::is_null(selector)) {
        return std::nullopt;
    }
    const auto descriptor = find_descriptor(cpu, selector);
    if (!descriptor || (descriptor->is_system() && !answers(cpu, *descriptor)) ||
        !reachable(cpu, selector, *descriptor)) {
        return std::nullopt;
    }
    return descriptor;
}

template <class T>
void load_access_rights(Cpu& cpu, const Insn& insn) {
    const auto descriptor = visible_descriptor(cpu, cpu.load_rm<std::uint16_t>(insn), has_rights);
    if (descriptor) {
        cpu.set_reg<T>(insn.reg, static_cast<T>(bits(descriptor->low, 63, 32) & 0x00FF'FF00));
    }
    cpu.flags.set_zf(descriptor.has_value());
}

template <class T>
void load_segment_limit(Cpu& cpu, const Insn& insn) {
    const auto descriptor = visible_descriptor(cpu, cpu.load_rm<std::uint16_t>(insn), has_limit);
    if (descriptor) {
        cpu.set_reg<T>(insn.reg, static_cast<T>(descriptor->limit()));
    }
    cpu.flags.set_zf(descriptor.has_value());
}

void verify_read(Cpu& cpu, const Insn& insn) {
    const auto selector = cpu.load_rm<std::uint16_t>(insn);
    const auto descriptor =
        visible_descriptor(cpu, selector, [](const Cpu&, const Descriptor&) { return false; });
    cpu.flags.set_zf(descriptor && descriptor->is_readable());
}

void verify_write(Cpu& cpu, const Insn& insn) {
    const auto selector = cpu.load_rm<std::uint16_t>(insn);
    const auto descriptor =
        visible_descriptor(cpu, selector, [](const Cpu&, const Descriptor&) { return false; });
    cpu.flags.set_zf(descriptor && descriptor->is_writable_data());
}

// None of these exists in real or virtual-8086 mode.
template <auto word, auto doubleword, auto quadword>
Handler select_question(const Decoded& decoded, Insn& insn) {
    return decoded.real_or_v86 ? nullptr : by_operand_size(insn, word, doubleword, quadword);
}

template <auto handler>
Handler select_protected(const Decoded& decoded, Insn&) {
    return decoded.real_or_v86 ? nullptr : handler;
}

void adjust_rpl(Cpu& cpu, const Insn& insn) {
    const unsigned wanted = x86::rpl_of(cpu.reg<std::uint16_t>(insn.reg));
    const auto selector = cpu.load_rm<std::uint16_t>(insn);
    const bool lower = x86::rpl_of(selector) < wanted;
    if (lower) {
        cpu.store_rm<std::uint16_t>(insn, x86::with_rpl(selector, wanted));
    }
    cpu.flags.set_zf(lower);
}

// ---- the bases of FS and GS ----

void swap_gs(Cpu& cpu, const Insn&) {
    require_cpl0(cpu);
    std::swap(cpu.system.segments[x86::gs].base, cpu.system.kernel_gs_base);
}

Handler select_swap_gs(const Decoded& decoded, Insn&) { return decoded.long_mode ? swap_gs : nullptr; }

void require_fsgsbase(Cpu& cpu) {
    if ((cpu.system.cr4 & x86::cr4::fsgsbase) == 0) {
        cpu.raise_ud();
    }
}

template <unsigned segment, class T>
void read_base(Cpu& cpu, const Insn& insn) {
    require_fsgsbase(cpu);
    cpu.set_reg<T>(insn.rm, static_cast<T>(cpu.system.segments[segment].base));
}

template <unsigned segment, class T>
void write_base(Cpu& cpu, const Insn& insn) {
    require_fsgsbase(cpu);
    const auto base = cpu.reg<T>(insn.rm);
    if (!cpu.canonical(base)) {
        cpu.raise_gp(0);
    }
    cpu.system.segments[segment].base = base;
}

template <auto doubleword, auto quadword>
Handler select_base(const Decoded& decoded, Insn& insn) {
    if (!decoded.long_mode) {
        return nullptr;
    }
    return insn.operand_size == 3 ? quadword : doubleword;
}

using std::uint16_t, std::uint32_t, std::uint64_t;

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_MOV, select_move},
    {ZYDIS_MNEMONIC_PUSH, select_stack<push_segment<2>, push_segment<4>, push_segment<8>>},
    {ZYDIS_MNEMONIC_POP, select_stack<pop_segment<2>, pop_segment<4>, pop_segment<8>>},
    {ZYDIS_MNEMONIC_LES, select_far_pointer<x86::es>},
    {ZYDIS_MNEMONIC_LDS, select_far_pointer<x86::ds>},
    {ZYDIS_MNEMONIC_LSS, select_far_pointer<x86::ss>},
    {ZYDIS_MNEMONIC_LFS, select_far_pointer<x86::fs>},
    {ZYDIS_MNEMONIC_LGS, select_far_pointer<x86::gs>},
    {ZYDIS_MNEMONIC_LAR, select_question<load_access_rights<uint16_t>, load_access_rights<uint32_t>,
                                         load_access_rights<uint64_t>>},
    {ZYDIS_MNEMONIC_LSL, select_question<load_segment_limit<uint16_t>, load_segment_limit<uint32_t>,
                                         load_segment_limit<uint64_t>>},
    {ZYDIS_MNEMONIC_VERR, select_protected<verify_read>},
    {ZYDIS_MNEMONIC_VERW, select_protected<verify_write>},
    {ZYDIS_MNEMONIC_ARPL, select_protected<adjust_rpl>},
    {ZYDIS_MNEMONIC_SWAPGS, select_swap_gs},
    {ZYDIS_MNEMONIC_RDFSBASE, select_base<read_base<x86::fs, uint32_t>, read_base<x86::fs, uint64_t>>},
    {ZYDIS_MNEMONIC_RDGSBASE, select_base<read_base<x86::gs, uint32_t>, read_base<x86::gs, uint64_t>>},
    {ZYDIS_MNEMONIC_WRFSBASE, select_base<write_base<x86::fs, uint32_t>, write_base<x86::fs, uint64_t>>},
    {ZYDIS_MNEMONIC_WRGSBASE, select_base<write_base<x86::gs, uint32_t>, write_base<x86::gs, uint64_t>>},
};

} // namespace

Rows segment_rows() { return rows; }

} // namespace strata::cpu::interpreter
