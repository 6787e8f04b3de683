// Task switches through 16- and 32-bit task-state segments. SDM volume 3 chapter 7.
#include "cpu/interpreter/tasks.hpp"

#include "cpu/interpreter/control_registers.hpp"
#include "cpu/interpreter/transfers.hpp"
#include "cpu/interpreter/tss.hpp"

#include <array>

namespace strata::cpu::interpreter {
namespace {

using x86::Descriptor;
using x86::Segment;
using x86::SystemType;
using x86::Vector;

namespace flag = x86::flag;

bool is_busy(const Descriptor& tss) {
    return tss.system_type() == SystemType::tss16_busy || tss.system_type() == SystemType::tss32_busy;
}

bool is_available(const Descriptor& tss) {
    return tss.system_type() == SystemType::tss16_available ||
           tss.system_type() == SystemType::tss32_available;
}

// The descriptor of the task to go to, with the checks of section 7.3. IRET returns to a busy one.
Descriptor new_task_descriptor(Cpu& cpu, std::uint16_t selector, bool from_iret) {
    const Vector vector = from_iret ? Vector::invalid_tss : Vector::general_protection;
    const std::uint32_t error = x86::selector_error(selector);
    if (x86::is_local(selector) || x86::is_null(selector)) {
        cpu.raise(vector, error);
    }
    const Descriptor tss = read_descriptor(cpu, selector, vector);
    if (!tss.is_system() || !(from_iret ? is_busy(tss) : is_available(tss))) {
        cpu.raise(vector, error);
    }
    if (!tss.present()) {
        cpu.raise(Vector::segment_not_present, error);
    }
    if (tss.limit() < tss_layout(tss).smallest_limit) {
        cpu.raise(Vector::invalid_tss, error);
    }
    return tss;
}

// ---- loading the new task's segments: every fault belongs to the new task ----

void load_ldt(Cpu& cpu, std::uint16_t selector) {
    const std::uint32_t error = x86::selector_error(selector);
    cpu.system.ldtr = x86::null_segment(selector);
    if (x86::is_null(selector)) {
        return;
    }
    if (x86::is_local(selector)) {
        cpu.raise(Vector::invalid_tss, error);
    }
    const Descriptor ldt = read_descriptor(cpu, selector, Vector::invalid_tss);
    if (!ldt.is_system() || ldt.system_type() != SystemType::ldt || !ldt.present()) {
        cpu.raise(Vector::invalid_tss, error);
    }
    cpu.system.ldtr = ldt.segment(selector);
}

void load_code(Cpu& cpu, std::uint16_t selector) {
    const std::uint32_t error = x86::selector_error(selector);
    const unsigned privilege = x86::rpl_of(selector);
    if (x86::is_null(selector)) {
        cpu.raise(Vector::invalid_tss, 0);
    }
    const Descriptor code = read_descriptor(cpu, selector, Vector::invalid_tss);
    const bool allowed =
        code.is_code() && (code.is_conforming_code() ? code.dpl() <= privilege : code.dpl() == privilege);
    if (!allowed) {
        cpu.raise(Vector::invalid_tss, error);
    }
    cpu.system.segments[x86::cs] = loaded_code(cpu, selector, code, privilege);
    cpu.mode_changed();
}

void load_stack(Cpu& cpu, std::uint16_t selector) {
    const std::uint32_t error = x86::selector_error(selector);
    if (x86::is_null(selector)) {
        cpu.raise(Vector::invalid_tss, 0);
    }
    Descriptor stack = read_descriptor(cpu, selector, Vector::invalid_tss);
    if (!stack.is_writable_data() || stack.dpl() != cpu.cpl() || x86::rpl_of(selector) != cpu.cpl()) {
        cpu.raise(Vector::invalid_tss, error);
    }
    if (!stack.present()) {
        cpu.raise(Vector::stack_fault, error);
    }
    mark_accessed(cpu, selector, stack);
    cpu.system.segments[x86::ss] = stack.segment(selector);
    cpu.segment_changed(x86::ss);
}

void load_data(Cpu& cpu, unsigned index, std::uint16_t selector) {
    if (x86::is_null(selector)) {
        return;
    }
    Descriptor data = read_descriptor(cpu, selector, Vector::invalid_tss);
    const bool privileged =
        !data.is_conforming_code() && (data.dpl() < cpu.cpl() || data.dpl() < x86::rpl_of(selector));
    if (!data.is_readable() || privileged) {
        cpu.raise(Vector::invalid_tss, x86::selector_error(selector));
    }
    if (!data.present()) {
        cpu.raise(Vector::segment_not_present, x86::selector_error(selector));
    }
    mark_accessed(cpu, selector, data);
    cpu.system.segments[index] = data.segment(selector);
    cpu.segment_changed(index);
}

void load_segments(Cpu& cpu, const TaskState& task) {
    load_ldt(cpu, task.ldt);
    if (cpu.v86()) {
        return; // the selectors were all there is to load
    }
    load_code(cpu, task.selectors[x86::cs]);
    load_stack(cpu, task.selectors[x86::ss]);
    for (const unsigned index : {x86::es, x86::ds, x86::fs, x86::gs}) {
        load_data(cpu, index, task.selectors[index]);
    }
    check_target(cpu, cpu.system.segments[x86::cs], cpu.rip());
}

// Registers and selectors; the hidden parts of segments follow with their checks. The CPL is that of CS.
void load_registers(Cpu& cpu, const TaskState& task) {
    for (std::size_t i = 0; i < task.gpr.size(); ++i) {
        cpu.regs[i] = task.gpr[i];
    }
    cpu.rip() = task.eip;
    cpu.set_rflags(task.eflags);
    for (unsigned i = 0; i < task.selectors.size(); ++i) {
        cpu.system.segments[i] =
            cpu.v86() ? x86::v86_segment(task.selectors[i]) : x86::null_segment(task.selectors[i]);
    }
    cpu.set_cpl(cpu.v86() ? 3 : x86::rpl_of(task.selectors[x86::cs]));
}

void load_page_directory(Cpu& cpu, const TaskState& task) {
    if ((cpu.system.cr0 & x86::cr0::pg) != 0 && task.cr3) {
        set_cr3(cpu, *task.cr3);
    }
}

// What happens after the switch is committed, in the new task.
void enter_task(Cpu& cpu, const TaskState& task, const TssLayout& layout, bool nested,
                std::optional<std::uint32_t> error_code) {
    load_page_directory(cpu, task);
    load_registers(cpu, task);
    if (nested) {
        cpu.other_flags |= flag::nt;
    }
    cpu.system.dr7 &= ~x86::dr7::local_enables;
    load_segments(cpu, task);
    if (error_code) {
        cpu.push(*error_code, layout.word);
    }
    if (task.trap) {
        cpu.system.dr6 |= x86::dr6::bt;
        cpu.raise(Vector::debug);
    }
}

} // namespace

void switch_task(Cpu& cpu, std::uint16_t selector, bool nested, bool from_iret) {
    try {
        cpu.task_switch(selector, nested, from_iret, std::nullopt);
    } catch (const NewTaskFault& fault) {
        cpu.deliver(static_cast<std::uint8_t>(fault.vector), Cpu::EventKind::exception, fault.error_code);
    }
}

void Cpu::task_switch(std::uint16_t selector, bool nested, bool from_iret,
                      std::optional<std::uint32_t> error_code) {
    const Descriptor descriptor = new_task_descriptor(*this, selector, from_iret);
    const TssLayout& new_layout = tss_layout(descriptor);
    const TssLayout& old_layout = tss_layout(system.tr);
    const std::uint64_t old_base = system.tr.base, new_base = descriptor.base();
    // Whatever may fault in the tables does so before anything is changed.
    probe_linear(old_base, old_layout.smallest_limit + 1, Access::write, true);
    probe_linear(new_base, new_layout.smallest_limit + 1, nested ? Access::write : Access::read, true);
    const TaskState task = read_tss(*this, new_base, new_layout);

    if (!nested) {
        set_busy(*this, system.tr.selector, false);
    }
    const std::uint64_t saved_flags = from_iret ? rflags() & ~flag::nt : rflags();
    save_tss(*this, old_base, old_layout, saved_flags);
    if (nested) {
        store_linear(table_address(*this, new_base, 0), system.tr.selector, true);
    }
    if (!from_iret) {
        set_busy(*this, selector, true);
    }
    system.tr = descriptor.segment(selector);
    system.tr.attributes |= busy_attribute;
    system.cr0 |= x86::cr0::ts;
    try {
        enter_task(*this, task, new_layout, nested, error_code);
    } catch (const Fault& fault) {
        throw NewTaskFault{fault};
    }
}

} // namespace strata::cpu::interpreter
