// The descriptor-table registers: LGDT, LIDT, LLDT, LTR and their stores. SDM volume 2; volume 3 section 2.4.
#include "cpu/interpreter/descriptors.hpp"
#include "cpu/interpreter/system_rows.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::DescriptorTable;
using x86::SystemType;
using x86::Vector;

// ---- GDTR, IDTR ----

// Six bytes, in 64-bit mode ten; a 16-bit operand size loads 24 bits of base.
template <DescriptorTable x86::SystemState::* table>
void load_table(Cpu& cpu, const Insn& insn) {
    require_cpl0(cpu);
    const std::uint64_t address = cpu.effective_address(insn);
    const auto limit = cpu.load<std::uint16_t>(insn.segment, address);
    const std::uint64_t base_address = next_offset(insn, address, 2);
    std::uint64_t base = cpu.code64() ? cpu.load<std::uint64_t>(insn.segment, base_address)
                                      : cpu.load<std::uint32_t>(insn.segment, base_address);
    if (!cpu.code64() && insn.operand_size == 1) {
        base &= 0xFF'FFFF;
    }
    if (!cpu.canonical(base)) {
        cpu.raise_gp(0);
    }
    cpu.system.*table = {base, limit};
}

template <DescriptorTable x86::SystemState::* table>
void store_table(Cpu& cpu, const Insn& insn) {
    require_no_umip(cpu);
    const DescriptorTable& value = cpu.system.*table;
    const std::uint64_t address = cpu.effective_address(insn);
    const std::uint64_t base_address = next_offset(insn, address, 2);
    cpu.store<std::uint16_t>(insn.segment, address, value.limit);
    if (cpu.code64()) {
        cpu.store<std::uint64_t>(insn.segment, base_address, value.base);
    } else {
        cpu.store<std::uint32_t>(insn.segment, base_address, static_cast<std::uint32_t>(value.base));
    }
}

// ---- LDTR, TR ----

void load_ldt(Cpu& cpu, const Insn& insn) {
    require_cpl0(cpu);
    const auto selector = cpu.load_rm<std::uint16_t>(insn);
    if (x86::is_null(selector)) {
        cpu.system.ldtr = x86::null_segment(selector);
        return;
    }
    const std::uint32_t error = x86::selector_error(selector);
    if (x86::is_local(selector)) {
        cpu.raise_gp(error);
    }
    const Descriptor ldt = read_descriptor(cpu, selector);
    if (!ldt.is_system() || ldt.system_type() != SystemType::ldt || !cpu.canonical(ldt.base())) {
        cpu.raise_gp(error);
    }
    if (!ldt.present()) {
        cpu.raise(Vector::segment_not_present, error);
    }
    cpu.system.ldtr = ldt.segment(selector);
}

bool is_available_tss(const Cpu& cpu, const Descriptor& tss) {
    if (tss.is_code_or_data()) {
        return false;
    }
    return tss.system_type() == SystemType::tss32_available ||
           (tss.system_type() == SystemType::tss16_available && !cpu.long_mode());
}

void load_task(Cpu& cpu, const Insn& insn) {
    require_cpl0(cpu);
    const auto selector = cpu.load_rm<std::uint16_t>(insn);
    if (x86::is_null(selector)) {
        cpu.raise_gp(0);
    }
    const std::uint32_t error = x86::selector_error(selector);
    if (x86::is_local(selector)) {
        cpu.raise_gp(error);
    }
    const Descriptor tss = read_descriptor(cpu, selector);
    if (!is_available_tss(cpu, tss) || !cpu.canonical(tss.base())) {
        cpu.raise_gp(error);
    }
    if (!tss.present()) {
        cpu.raise(Vector::segment_not_present, error);
    }
    set_busy(cpu, selector, true);
    cpu.system.tr = tss.segment(selector);
    cpu.system.tr.attributes |= busy_attribute;
}

template <x86::Segment x86::SystemState::* segment, class T>
void store_selector(Cpu& cpu, const Insn& insn) {
    require_no_umip(cpu);
    const std::uint16_t selector = (cpu.system.*segment).selector;
    if (insn.memory) {
        cpu.store<std::uint16_t>(insn, selector);
    } else {
        cpu.set_reg<T>(insn.rm, selector);
    }
}

template <auto handler>
Handler select_memory(const Decoded&, Insn& insn) {
    return insn.memory ? handler : nullptr;
}

// These four exist in protected mode alone.
template <auto word, auto doubleword, auto quadword>
Handler select_protected(const Decoded& decoded, Insn& insn) {
    return decoded.real_or_v86 ? nullptr : by_operand_size(insn, word, doubleword, quadword);
}

template <x86::Segment x86::SystemState::* segment>
constexpr auto select_store =
    select_protected<store_selector<segment, std::uint16_t>, store_selector<segment, std::uint32_t>,
                     store_selector<segment, std::uint64_t>>;

using State = x86::SystemState;

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_LGDT, select_memory<load_table<&State::gdtr>>},
    {ZYDIS_MNEMONIC_LIDT, select_memory<load_table<&State::idtr>>},
    {ZYDIS_MNEMONIC_SGDT, select_memory<store_table<&State::gdtr>>},
    {ZYDIS_MNEMONIC_SIDT, select_memory<store_table<&State::idtr>>},
    {ZYDIS_MNEMONIC_LLDT, select_protected<load_ldt, load_ldt, load_ldt>},
    {ZYDIS_MNEMONIC_LTR, select_protected<load_task, load_task, load_task>},
    {ZYDIS_MNEMONIC_SLDT, select_store<&State::ldtr>},
    {ZYDIS_MNEMONIC_STR, select_store<&State::tr>},
};

} // namespace

Rows table_rows() { return rows; }

} // namespace strata::cpu::interpreter
