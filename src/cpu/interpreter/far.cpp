// Far jumps, calls and returns: direct, through call gates, between privilege levels, into tasks. SDM volume
// 3 section 5.8; volume 2, JMP, CALL, RET.
#include "cpu/interpreter/tasks.hpp"
#include "cpu/interpreter/transfers.hpp"

#include <algorithm>
#include <array>

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::Segment;
using x86::SystemType;
using x86::Vector;

std::uint64_t truncate(std::uint64_t offset, unsigned operand_bytes) {
    switch (operand_bytes) {
    case 2: return static_cast<std::uint16_t>(offset);
    case 4: return static_cast<std::uint32_t>(offset);
    default: return offset;
    }
}

// A code segment reached directly: never a change of privilege.
Segment direct_code(Cpu& cpu, std::uint16_t selector, const Descriptor& descriptor) {
    const bool allowed =
        descriptor.is_code() && (descriptor.is_conforming_code()
                                     ? descriptor.dpl() <= cpu.cpl()
                                     : x86::rpl_of(selector) <= cpu.cpl() && descriptor.dpl() == cpu.cpl());
    const bool mixed_sizes = cpu.long_mode() && descriptor.long_mode() && descriptor.big();
    if (!allowed || mixed_sizes) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    return loaded_code(cpu, selector, descriptor, cpu.cpl());
}

// What a call gate leads to.
struct GateTarget {
    Segment code;
    std::uint64_t offset;
    unsigned privilege;  // the new CPL
    unsigned size;       // of the values pushed, in bytes
    unsigned parameters; // to copy to an inner stack
};

void check_gate(Cpu& cpu, std::uint16_t selector, const Descriptor& gate) {
    if (gate.dpl() < std::max(cpu.cpl(), x86::rpl_of(selector))) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    if (!gate.present()) {
        cpu.raise(Vector::segment_not_present, x86::selector_error(selector));
    }
}

// `may_raise_privilege`: CALL may, JMP may not.
GateTarget through_call_gate(Cpu& cpu, std::uint16_t gate_selector, const Descriptor& gate,
                             bool may_raise_privilege) {
    check_gate(cpu, gate_selector, gate);
    const std::uint16_t selector = gate.gate_selector();
    if (x86::is_null(selector)) {
        cpu.raise_gp(0);
    }
    const Descriptor code = read_descriptor(cpu, selector);
    const bool same_privilege_only = !may_raise_privilege && !code.is_conforming_code();
    const bool allowed =
        code.is_code() && code.dpl() <= cpu.cpl() && (!same_privilege_only || code.dpl() == cpu.cpl());
    const bool wrong_size = cpu.long_mode() && (!code.long_mode() || code.big());
    if (!allowed || wrong_size) {
        cpu.raise_gp(x86::selector_error(selector));
    }
    const unsigned privilege = code.is_conforming_code() ? cpu.cpl() : code.dpl();
    const unsigned size = cpu.long_mode() ? 8 : gate.is_wide_gate() ? 4 : 2;
    return {loaded_code(cpu, selector, code, privilege), gate.gate_offset(), privilege, size,
            cpu.long_mode() ? 0 : gate.parameter_count()};
}

void push_return_address(Cpu& cpu, std::uint16_t selector, std::uint64_t offset, unsigned size) {
    cpu.push(selector, size);
    cpu.push(offset, size);
}

// ---- real and virtual-8086 mode ----

Segment real_or_v86_code(const Cpu& cpu, std::uint16_t selector) {
    Segment code = cpu.system.segments[x86::cs];
    code.selector = selector;
    code.base = std::uint64_t{selector} << 4;
    return code;
}

void real_jump(Cpu& cpu, std::uint16_t selector, std::uint64_t offset) {
    const Segment code = real_or_v86_code(cpu, selector);
    check_target(cpu, code, offset);
    transfer(cpu, code, offset, cpu.cpl());
}

// ---- calls through gates ----

void call_same_privilege(Cpu& cpu, const GateTarget& target) {
    check_target(cpu, target.code, target.offset);
    Transaction transaction(cpu);
    const std::uint16_t old_selector = cpu.system.segments[x86::cs].selector;
    const std::uint64_t old_rip = cpu.rip();
    transfer(cpu, target.code, target.offset, target.privilege);
    push_return_address(cpu, old_selector, old_rip, target.size);
    transaction.commit();
}

// The parameters on the caller's stack, the one at the top first.
std::array<std::uint32_t, 31> read_parameters(Cpu& cpu, const GateTarget& target) {
    std::array<std::uint32_t, 31> values{};
    for (unsigned i = 0; i < target.parameters; ++i) {
        const std::uint64_t offset = (cpu.regs[x86::rsp] + std::uint64_t{i} * target.size) & cpu.stack_mask();
        values[i] = target.size == 4 ? cpu.load<std::uint32_t>(x86::ss, offset)
                                     : cpu.load<std::uint16_t>(x86::ss, offset);
    }
    return values;
}

void call_inner(Cpu& cpu, const GateTarget& target) {
    const InnerStack stack =
        cpu.long_mode() ? inner_stack64(cpu, target.privilege, 0) : inner_stack(cpu, target.privilege);
    if (!cpu.long_mode()) {
        check_stack_room(cpu, stack, 4 + target.parameters, target.size,
                         x86::selector_error(stack.ss.selector));
    }
    check_target(cpu, target.code, target.offset);
    const auto parameters = read_parameters(cpu, target);

    Transaction transaction(cpu);
    const std::uint16_t old_cs = cpu.system.segments[x86::cs].selector;
    const std::uint16_t old_ss = cpu.system.segments[x86::ss].selector;
    const std::uint64_t old_rip = cpu.rip(), old_rsp = cpu.regs[x86::rsp];
    cpu.system.segments[x86::ss] = stack.ss;
    transfer(cpu, target.code, target.offset, target.privilege);
    cpu.set_stack_pointer(stack.sp);
    cpu.push(old_ss, target.size);
    cpu.push(old_rsp, target.size);
    for (unsigned i = target.parameters; i-- > 0;) {
        cpu.push(parameters[i], target.size);
    }
    push_return_address(cpu, old_cs, old_rip, target.size);
    transaction.commit();
}

// Through a gate, or into a task by its TSS.
void far_system(Cpu& cpu, std::uint16_t selector, const Descriptor& descriptor, bool call) {
    switch (descriptor.system_type()) {
    case SystemType::call_gate16:
        if (cpu.long_mode()) {
            break;
        }
        [[fallthrough]];
    case SystemType::call_gate32: {
        const GateTarget target = through_call_gate(cpu, selector, descriptor, call);
        if (!call) {
            check_target(cpu, target.code, target.offset);
            transfer(cpu, target.code, target.offset, target.privilege);
        } else if (target.privilege < cpu.cpl()) {
            call_inner(cpu, target);
        } else {
            call_same_privilege(cpu, target);
        }
        return;
    }
    case SystemType::task_gate:
        if (cpu.long_mode()) {
            break;
        }
        check_gate(cpu, selector, descriptor);
        switch_task(cpu, descriptor.gate_selector(), call, false);
        return;
    case SystemType::tss16_available:
    case SystemType::tss32_available:
        if (cpu.long_mode()) {
            break;
        }
        check_gate(cpu, selector, descriptor);
        switch_task(cpu, selector, call, false);
        return;
    default: break;
    }
    cpu.raise_gp(x86::selector_error(selector));
}

} // namespace

void Cpu::far_jump(std::uint16_t selector, std::uint64_t offset, unsigned operand_bytes) {
    offset = truncate(offset, operand_bytes);
    if (real_or_v86()) {
        real_jump(*this, selector, offset);
        return;
    }
    if (x86::is_null(selector)) {
        raise_gp(0);
    }
    const Descriptor descriptor = read_descriptor(*this, selector);
    if (descriptor.is_code_or_data()) {
        const Segment code = direct_code(*this, selector, descriptor);
        check_target(*this, code, offset);
        transfer(*this, code, offset, cpl_);
        return;
    }
    far_system(*this, selector, descriptor, false);
}

void Cpu::far_call(std::uint16_t selector, std::uint64_t offset, unsigned operand_bytes) {
    offset = truncate(offset, operand_bytes);
    const bool direct = real_or_v86();
    if (!direct && x86::is_null(selector)) {
        raise_gp(0);
    }
    const Descriptor descriptor = direct ? Descriptor{} : read_descriptor(*this, selector);
    if (!direct && descriptor.is_system()) {
        far_system(*this, selector, descriptor, true);
        return;
    }
    const Segment code =
        direct ? real_or_v86_code(*this, selector) : direct_code(*this, selector, descriptor);
    check_target(*this, code, offset);
    Transaction transaction(*this);
    push_return_address(*this, system.segments[x86::cs].selector, rip(), operand_bytes);
    transfer(*this, code, offset, cpl_);
    transaction.commit();
}

void Cpu::far_return(unsigned operand_bytes, std::uint16_t release) {
    Transaction transaction(*this);
    const std::uint64_t offset = pop(operand_bytes);
    const auto selector = static_cast<std::uint16_t>(pop(operand_bytes));
    if (real_or_v86()) {
        set_stack_pointer(regs[x86::rsp] + release);
        real_jump(*this, selector, offset);
        transaction.commit();
        return;
    }
    const Segment code = return_code_segment(*this, selector);
    const unsigned privilege = x86::rpl_of(selector);
    set_stack_pointer(regs[x86::rsp] + release);
    if (privilege == cpl_) {
        check_target(*this, code, offset);
        transfer(*this, code, offset, privilege);
        transaction.commit();
        return;
    }
    const std::uint64_t outer_sp = pop(operand_bytes);
    const auto outer_ss = static_cast<std::uint16_t>(pop(operand_bytes));
    const Segment stack = return_stack_segment(*this, outer_ss, code);
    check_target(*this, code, offset);
    system.segments[x86::ss] = stack;
    transfer(*this, code, offset, privilege);
    set_stack_pointer(outer_sp + release);
    drop_privileged_segments(*this);
    transaction.commit();
}

} // namespace strata::cpu::interpreter
