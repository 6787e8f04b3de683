// IRET in every mode: real, virtual-8086, protected (same privilege, outer, to virtual-8086, nested task),
// IA-32e. SDM volume 2, IRET; volume 3 sections 6.14.3, 7.4, 20.2.4, 20.3.
#include "cpu/interpreter/tasks.hpp"
#include "cpu/interpreter/transfers.hpp"

#include <array>

namespace strata::cpu::interpreter {
namespace {

using x86::Segment;

namespace flag = x86::flag;

constexpr std::uint64_t always_popped =
    flag::arithmetic | flag::tf | flag::df | flag::nt | flag::rf | flag::ac | flag::id;

// RFLAGS after an IRET that may change the flags in `changeable`; a 16-bit one leaves the upper half.
std::uint64_t merged_flags(const Cpu& cpu, std::uint64_t popped, std::uint64_t changeable,
                           unsigned operand_bytes) {
    if (operand_bytes == 2) {
        changeable &= 0xFFFF;
    }
    return (cpu.rflags() & ~changeable) | (popped & changeable);
}

// What a return from privilege `cpl` may change besides.
std::uint64_t changeable_flags(const Cpu& cpu, unsigned cpl) {
    std::uint64_t mask = always_popped;
    if (cpl <= cpu.iopl()) {
        mask |= flag::if_;
    }
    if (cpl == 0) {
        mask |= flag::iopl | flag::vif | flag::vip;
    }
    return mask;
}

struct Frame {
    std::uint64_t offset;
    std::uint16_t selector;
    std::uint64_t flags;
};

Frame pop_frame(Cpu& cpu, unsigned size) {
    const std::uint64_t offset = cpu.pop(size);
    const auto selector = static_cast<std::uint16_t>(cpu.pop(size));
    return {offset, selector, cpu.pop(size)};
}

// Real mode's code segment keeps its limit; so does virtual-8086 mode's.
void go_real(Cpu& cpu, const Frame& frame) {
    Segment code = cpu.system.segments[x86::cs];
    code.selector = frame.selector;
    code.base = std::uint64_t{frame.selector} << 4;
    check_target(cpu, code, frame.offset);
    transfer(cpu, code, frame.offset, cpu.cpl());
}

void return_in_real_mode(Cpu& cpu, unsigned size) {
    Transaction transaction(cpu);
    const Frame frame = pop_frame(cpu, size);
    go_real(cpu, frame);
    transaction.commit();
    cpu.set_rflags(merged_flags(cpu, frame.flags, always_popped | flag::if_ | flag::iopl, size));
}

// With IOPL below 3, VME lets a 16-bit IRET change VIF in place of IF, unless an interrupt waits for that.
void return_in_virtual_flag_mode(Cpu& cpu) {
    Transaction transaction(cpu);
    const Frame frame = pop_frame(cpu, 2);
    const bool enables = (frame.flags & flag::if_) != 0;
    const bool waiting = (cpu.rflags() & flag::vip) != 0;
    if ((enables && waiting) || (frame.flags & flag::tf) != 0) {
        cpu.raise_gp(0);
    }
    go_real(cpu, frame);
    transaction.commit();
    const std::uint64_t flags = merged_flags(cpu, frame.flags, always_popped, 2) & ~flag::vif;
    cpu.set_rflags(flags | (enables ? flag::vif : 0));
}

void return_in_v86_mode(Cpu& cpu, unsigned size) {
    if (cpu.iopl() == 3) {
        Transaction transaction(cpu);
        const Frame frame = pop_frame(cpu, size);
        go_real(cpu, frame);
        transaction.commit();
        cpu.set_rflags(merged_flags(cpu, frame.flags, always_popped | flag::if_, size));
    } else if ((cpu.system.cr4 & x86::cr4::vme) != 0 && size == 2) {
        return_in_virtual_flag_mode(cpu);
    } else {
        cpu.raise_gp(0);
    }
}

// From privilege level 0: SP, SS and the data segments are on the stack too.
void return_to_v86(Cpu& cpu, const Frame& frame) {
    const auto sp = static_cast<std::uint32_t>(cpu.pop(4));
    constexpr std::array order{x86::ss, x86::es, x86::ds, x86::fs, x86::gs};
    std::array<std::uint16_t, order.size()> selectors{};
    for (auto& selector : selectors) {
        selector = static_cast<std::uint16_t>(cpu.pop(4));
    }
    const Segment code = x86::v86_segment(frame.selector);
    check_target(cpu, code, static_cast<std::uint16_t>(frame.offset));
    for (std::size_t i = 0; i < order.size(); ++i) {
        cpu.system.segments[order[i]] = x86::v86_segment(selectors[i]);
    }
    cpu.regs[x86::rsp] = sp;
    cpu.other_flags |= flag::vm;
    cpu.system.segments[x86::cs] = code;
    cpu.rip() = static_cast<std::uint16_t>(frame.offset);
    constexpr std::uint64_t changeable = always_popped | flag::if_ | flag::iopl | flag::vif | flag::vip;
    const std::uint64_t flags = merged_flags(cpu, frame.flags, changeable, 4) | flag::vm;
    cpu.set_cpl(3);
    cpu.set_rflags(flags);
}

void return_in_protected_mode(Cpu& cpu, unsigned size) {
    Transaction transaction(cpu);
    const Frame frame = pop_frame(cpu, size);
    if (size == 4 && (frame.flags & flag::vm) != 0 && cpu.cpl() == 0 && !cpu.long_mode()) {
        return_to_v86(cpu, frame);
        transaction.commit();
        return;
    }
    const unsigned old_cpl = cpu.cpl();
    const std::uint64_t changeable = changeable_flags(cpu, old_cpl);
    const Segment code = return_code_segment(cpu, frame.selector);
    const unsigned privilege = x86::rpl_of(frame.selector);
    const bool changes_stack = cpu.code64() || privilege != old_cpl;
    const std::uint64_t sp = changes_stack ? cpu.pop(size) : 0;
    if (changes_stack) {
        const auto selector = static_cast<std::uint16_t>(cpu.pop(size));
        const Segment stack = return_stack_segment(cpu, selector, code);
        check_target(cpu, code, frame.offset);
        cpu.system.segments[x86::ss] = stack;
    } else {
        check_target(cpu, code, frame.offset);
    }
    transfer(cpu, code, frame.offset, privilege);
    transaction.commit();
    if (changes_stack) {
        cpu.set_stack_pointer(sp);
    }
    cpu.set_rflags(merged_flags(cpu, frame.flags, changeable, size));
    if (privilege != old_cpl) {
        drop_privileged_segments(cpu);
    }
}

void return_to_previous_task(Cpu& cpu) {
    const Segment& tr = cpu.system.tr;
    const auto link = cpu.load_linear<std::uint16_t>(table_address(cpu, tr.base, 0), true);
    switch_task(cpu, link, false, true);
}

} // namespace

void Cpu::interrupt_return(unsigned operand_bytes) {
    if (!protected_mode()) {
        return_in_real_mode(*this, operand_bytes);
    } else if (v86()) {
        return_in_v86_mode(*this, operand_bytes);
    } else if ((other_flags & flag::nt) == 0) {
        return_in_protected_mode(*this, operand_bytes);
    } else if (long_mode()) {
        raise_gp(0);
    } else {
        return_to_previous_task(*this);
    }
    nmi_blocked = false;
}

} // namespace strata::cpu::interpreter
