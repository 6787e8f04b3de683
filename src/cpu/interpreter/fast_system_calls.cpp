// SYSCALL, SYSRET, SYSENTER, SYSEXIT. SDM volume 2; APM volume 3 (AMD's own forms, which exist outside 64-bit
// mode too). All set flat segments without reading descriptors.
#include "cpu/interpreter/fast_system_calls.hpp"

#include "cpu/interpreter/system_rows.hpp"
#include "cpu/interpreter/transfers.hpp"

namespace strata::cpu::interpreter {
namespace {

using x86::Segment;

namespace flag = x86::flag;

// Attributes of present, accessed segments of 4 GiB.
constexpr std::uint16_t code_attributes = 0x809B, data_attributes = 0x8093;
constexpr std::uint16_t big_attribute = 0x4000, long_attribute = 0x2000;

std::uint16_t dpl_attribute(unsigned privilege) { return static_cast<std::uint16_t>(privilege << 5); }

Segment flat_code(std::uint16_t selector, unsigned privilege, bool is_64bit) {
    const auto attributes = static_cast<std::uint16_t>(code_attributes | dpl_attribute(privilege) |
                                                       (is_64bit ? long_attribute : big_attribute));
    return {.selector = selector, .base = 0, .limit = 0xFFFF'FFFF, .attributes = attributes};
}

Segment flat_stack(std::uint16_t selector, unsigned privilege) {
    const auto attributes =
        static_cast<std::uint16_t>(data_attributes | big_attribute | dpl_attribute(privilege));
    return {.selector = selector, .base = 0, .limit = 0xFFFF'FFFF, .attributes = attributes};
}

void enter(Cpu& cpu, const CodeAndStack& segments, unsigned privilege, std::uint64_t target) {
    cpu.system.segments[x86::ss] = segments.stack;
    transfer(cpu, segments.code, target, privilege);
}

CodeAndStack flat(std::uint16_t code_selector, std::uint16_t stack_selector, unsigned privilege,
                  bool is_64bit) {
    return {flat_code(code_selector, privilege, is_64bit), flat_stack(stack_selector, privilege)};
}

std::uint16_t selector_at(std::uint64_t msr, unsigned shift, unsigned added) {
    return static_cast<std::uint16_t>((msr >> shift) + added);
}

// ---- SYSCALL, SYSRET ----

void require_syscall(Cpu& cpu) {
    if ((cpu.system.efer & x86::efer::sce) == 0) {
        cpu.raise_ud();
    }
}

constexpr unsigned star_call = 32, star_return = 48; // where STAR holds the selectors

CodeAndStack call_segments(std::uint64_t star, bool is_64bit) {
    const auto code = x86::with_rpl(selector_at(star, star_call, 0), 0);
    return flat(code, selector_at(code, 0, 8), 0, is_64bit);
}

CodeAndStack return_segments(std::uint64_t star, bool is_64bit) {
    return flat(x86::with_rpl(selector_at(star, star_return, is_64bit ? 16 : 0), 3),
                x86::with_rpl(selector_at(star, star_return, 8), 3), 3, is_64bit);
}

void call_in_long_mode(Cpu& cpu) {
    const bool from_64bit = cpu.code64();
    cpu.regs[x86::rcx] = cpu.rip();
    cpu.regs[x86::r11] = cpu.rflags() & ~flag::rf;
    const std::uint64_t flags = cpu.rflags() & ~(cpu.system.fmask | flag::rf);
    enter(cpu, call_segments(cpu.system.star, true), 0, from_64bit ? cpu.system.lstar : cpu.system.cstar);
    cpu.set_rflags(flags);
}

void call_in_legacy_mode(Cpu& cpu) {
    cpu.set_reg<std::uint32_t>(x86::rcx, static_cast<std::uint32_t>(cpu.rip()));
    const std::uint64_t flags = cpu.rflags() & ~(flag::vm | flag::if_ | flag::rf);
    cpu.other_flags &= ~flag::vm;
    enter(cpu, call_segments(cpu.system.star, false), 0, cpu.system.star & 0xFFFF'FFFF);
    cpu.set_rflags(flags);
}

void system_call(Cpu& cpu, const Insn&) {
    require_syscall(cpu);
    if (!cpu.code64() && !cpu.model().is_amd()) {
        cpu.raise_ud();
    }
    cpu.long_mode() ? call_in_long_mode(cpu) : call_in_legacy_mode(cpu);
}

// Returns to privilege level 3: to 64-bit code with REX.W, else to 32-bit code.
template <bool wide>
void system_return(Cpu& cpu, const Insn&) {
    require_syscall(cpu);
    if (!cpu.code64() && (!cpu.model().is_amd() || !cpu.protected_mode())) {
        cpu.raise_ud();
    }
    require_cpl0(cpu);
    const std::uint64_t target = wide ? cpu.regs[x86::rcx] : cpu.regs[x86::rcx] & 0xFFFF'FFFF;
    if (!cpu.canonical(target)) {
        cpu.raise_gp(0); // AMD faults in the program instead, after the return
    }
    const bool long_mode = cpu.long_mode();
    const std::uint64_t flags = long_mode ? cpu.regs[x86::r11] & sysret_flags : cpu.rflags() | flag::if_;
    enter(cpu, return_segments(cpu.system.star, wide), 3, target);
    cpu.set_rflags(flags);
}

// ---- SYSENTER, SYSEXIT ----

// In IA-32e mode they work in Intel's processors alone.
void require_sysenter(Cpu& cpu) {
    if (cpu.long_mode() && cpu.model().is_amd()) {
        cpu.raise_ud();
    }
    if (!cpu.protected_mode() || x86::is_null(static_cast<std::uint16_t>(cpu.system.sysenter_cs))) {
        cpu.raise_gp(0);
    }
}

void system_enter(Cpu& cpu, const Insn&) {
    require_sysenter(cpu);
    const bool wide = cpu.long_mode();
    const std::uint64_t mask = wide ? ~std::uint64_t{0} : 0xFFFF'FFFF;
    const std::uint64_t flags = cpu.rflags() & ~(flag::vm | flag::if_ | flag::rf);
    const auto code = x86::with_rpl(static_cast<std::uint16_t>(cpu.system.sysenter_cs), 0);
    cpu.other_flags &= ~flag::vm;
    enter(cpu, flat(code, selector_at(code, 0, 8), 0, wide), 0, cpu.system.sysenter_eip & mask);
    cpu.regs[x86::rsp] = cpu.system.sysenter_esp & mask;
    cpu.set_rflags(flags);
}

template <bool wide>
void system_exit(Cpu& cpu, const Insn&) {
    require_sysenter(cpu);
    require_cpl0(cpu);
    const std::uint64_t mask = wide ? ~std::uint64_t{0} : 0xFFFF'FFFF;
    const std::uint64_t target = cpu.regs[x86::rdx] & mask, stack = cpu.regs[x86::rcx] & mask;
    if (!cpu.canonical(target) || !cpu.canonical(stack)) {
        cpu.raise_gp(0);
    }
    const std::uint64_t base = cpu.system.sysenter_cs;
    enter(cpu,
          flat(x86::with_rpl(selector_at(base, 0, wide ? 32 : 16), 3),
               x86::with_rpl(selector_at(base, 0, wide ? 40 : 24), 3), 3, wide),
          3, target);
    cpu.regs[x86::rsp] = stack;
}

template <auto narrow, auto wide>
Handler select_width(const Decoded& decoded, Insn& insn) {
    return decoded.long_mode && insn.operand_size == 3 ? wide : narrow;
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_SYSCALL, select_always<system_call>},
    {ZYDIS_MNEMONIC_SYSRET, select_width<system_return<false>, system_return<true>>},
    {ZYDIS_MNEMONIC_SYSENTER, select_always<system_enter>},
    {ZYDIS_MNEMONIC_SYSEXIT, select_width<system_exit<false>, system_exit<true>>},
};

} // namespace

CodeAndStack syscall_segments(std::uint64_t star) { return call_segments(star, true); }

CodeAndStack sysret_segments(std::uint64_t star) { return return_segments(star, true); }

Rows fast_call_rows() { return rows; }

} // namespace strata::cpu::interpreter
