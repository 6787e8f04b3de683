// Interrupts in real-address mode, and those that virtual-8086 mode redirects to its own table. SDM volume 3
// sections 20.1.4 and 20.3.
#include "cpu/interpreter/events.hpp"
#include "cpu/interpreter/transfers.hpp"

namespace strata::cpu::interpreter {
namespace {

namespace flag = x86::flag;

struct FarPointer {
    std::uint16_t offset, selector;
};

FarPointer read_vector(Cpu& cpu, std::uint64_t table, std::uint8_t vector, bool implicit_supervisor) {
    const std::uint64_t address = table_address(cpu, table, std::uint64_t{vector} * 4);
    const auto value = cpu.load_linear<std::uint32_t>(address, implicit_supervisor);
    return {static_cast<std::uint16_t>(value), static_cast<std::uint16_t>(value >> 16)};
}

// Pushes FLAGS, CS and IP, and goes to the handler.
void enter(Cpu& cpu, const FarPointer& handler, std::uint64_t flags) {
    Transaction transaction(cpu);
    x86::Segment code = cpu.system.segments[x86::cs];
    cpu.push(flags & 0xFFFF, 2);
    cpu.push(code.selector, 2);
    cpu.push(cpu.rip() & 0xFFFF, 2);
    code.selector = handler.selector;
    code.base = std::uint64_t{handler.selector} << 4;
    check_target(cpu, code, handler.offset);
    transfer(cpu, code, handler.offset, cpu.cpl());
    transaction.commit();
}

} // namespace

void deliver_real(Cpu& cpu, const Event& event) {
    if (event.vector * 4U + 3 > cpu.system.idtr.limit) {
        cpu.raise_gp(event.vector * 8U + x86::selector_error_bit::idt);
    }
    enter(cpu, read_vector(cpu, cpu.system.idtr.base, event.vector, true), cpu.rflags());
    cpu.set_rflags(cpu.rflags() & ~(flag::if_ | flag::tf | flag::ac | flag::rf));
}

void deliver_redirected(Cpu& cpu, std::uint8_t vector) {
    // With IOPL below 3 the program sees the virtual interrupt flag in place of IF, and IOPL as 3.
    const bool virtual_flag = cpu.iopl() < 3;
    std::uint64_t flags = cpu.rflags();
    if (virtual_flag) {
        flags = (flags & ~flag::if_) | flag::iopl | ((flags & flag::vif) != 0 ? flag::if_ : 0);
    }
    enter(cpu, read_vector(cpu, 0, vector, false), flags);
    const std::uint64_t cleared = flag::tf | (virtual_flag ? flag::vif : flag::if_);
    cpu.set_rflags(cpu.rflags() & ~cleared);
}

} // namespace strata::cpu::interpreter
