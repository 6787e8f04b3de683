#include "cpu/interpreter/tss.hpp"

#include "cpu/interpreter/descriptors.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::SystemType;

constexpr TssLayout layout16{.word = 2,
                             .smallest_limit = 0x2B,
                             .eip = 0x0E,
                             .eflags = 0x10,
                             .gpr = 0x12,
                             .selectors = 0x22,
                             .ldt = 0x2A,
                             .selector_count = 4};
constexpr TssLayout layout32{.word = 4,
                             .smallest_limit = 0x67,
                             .eip = 0x20,
                             .eflags = 0x24,
                             .gpr = 0x28,
                             .selectors = 0x48,
                             .ldt = 0x60,
                             .selector_count = 6};
constexpr std::uint32_t cr3_offset = 0x1C, trap_offset = 0x64; // of a 32-bit TSS

const TssLayout& layout_of(SystemType type) {
    return type == SystemType::tss16_available || type == SystemType::tss16_busy ? layout16 : layout32;
}

std::uint32_t load_word(Cpu& cpu, std::uint64_t base, std::uint32_t offset, unsigned size) {
    const std::uint64_t address = table_address(cpu, base, offset);
    return size == 2 ? cpu.load_linear<std::uint16_t>(address, true)
                     : cpu.load_linear<std::uint32_t>(address, true);
}

void store_word(Cpu& cpu, std::uint64_t base, std::uint32_t offset, unsigned size, std::uint64_t value) {
    const std::uint64_t address = table_address(cpu, base, offset);
    if (size == 2) {
        cpu.store_linear(address, static_cast<std::uint16_t>(value), true);
    } else {
        cpu.store_linear(address, static_cast<std::uint32_t>(value), true);
    }
}

} // namespace

const TssLayout& tss_layout(const x86::Descriptor& tss) { return layout_of(tss.system_type()); }

const TssLayout& tss_layout(const x86::Segment& tr) { return layout_of(static_cast<SystemType>(tr.type())); }

TaskState read_tss(Cpu& cpu, std::uint64_t base, const TssLayout& layout) {
    TaskState task;
    task.eip = load_word(cpu, base, layout.eip, layout.word);
    task.eflags = load_word(cpu, base, layout.eflags, layout.word);
    for (unsigned i = 0; i < task.gpr.size(); ++i) {
        task.gpr[i] = load_word(cpu, base, layout.gpr + i * layout.word, layout.word);
    }
    for (unsigned i = 0; i < layout.selector_count; ++i) {
        task.selectors[i] =
            static_cast<std::uint16_t>(load_word(cpu, base, layout.selectors + i * layout.word, 2));
    }
    task.ldt = static_cast<std::uint16_t>(load_word(cpu, base, layout.ldt, 2));
    if (layout.word == 4) {
        task.cr3 = load_word(cpu, base, cr3_offset, 4);
        task.trap = (load_word(cpu, base, trap_offset, 2) & 1) != 0;
    }
    return task;
}

void save_tss(Cpu& cpu, std::uint64_t base, const TssLayout& layout, std::uint64_t rflags) {
    store_word(cpu, base, layout.eip, layout.word, cpu.rip());
    store_word(cpu, base, layout.eflags, layout.word, rflags);
    for (unsigned i = 0; i < 8; ++i) {
        store_word(cpu, base, layout.gpr + i * layout.word, layout.word, cpu.regs[i]);
    }
    for (unsigned i = 0; i < layout.selector_count; ++i) {
        store_word(cpu, base, layout.selectors + i * layout.word, 2, cpu.system.segments[i].selector);
    }
}

} // namespace strata::cpu::interpreter
