// Modes, flags, faults and the stack: the parts of Cpu that every other part uses.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/interpreter/simd/availability.hpp"

#include <utility>

namespace strata::cpu::interpreter {

namespace flag = x86::flag;

Cpu::Cpu(Shared& shared, const VcpuConfig& config, Bus& bus)
    : shared_(shared), config_(config), bus_(bus, *this), mailbox_(std::make_unique<CodeMailbox>(signals_)),
      decoder_(std::make_unique<Decoder>(*config.model)) {
    shared_.attach(*mailbox_);
    reset();
}

Cpu::~Cpu() { shared_.detach(*mailbox_); }

void Cpu::set_rflags(std::uint64_t value) {
    flags.set_arithmetic(value);
    const std::uint64_t before = other_flags;
    other_flags = (value & x86::supported_rflags(model()) & ~flag::arithmetic) | flag::fixed;
    const std::uint64_t changed = before ^ other_flags;
    if (changed & (flag::tf | flag::vm | flag::rf)) {
        mode_changed();
    } else if (changed & (flag::if_ | flag::ac)) {
        look_at_events();
        const DataView before_ac = code_mode_.data;
        select_tlb();
        if (code_mode_.data != before_ac || (signals_.pending() & wanted_signals_)) {
            end_block();
        }
    }
}

void Cpu::set_cpl(unsigned cpl) {
    cpl_ = cpl;
    mode_changed();
}

void Cpu::mode_changed() {
    const bool was64 = std::exchange(code64_, long_mode() && system.segments[x86::cs].long_mode());
    for (unsigned segment = 0; segment < system.segments.size() && !(was64 && code64_); ++segment) {
        segment_changed(segment);
    }
    const PagingControls controls{system.cr0 & (x86::cr0::pg | x86::cr0::wp | x86::cr0::pe),
                                  system.cr4 & paging_cr4_bits,
                                  system.efer & (x86::efer::lma | x86::efer::nxe)};
    if (controls != paging_controls_) {
        paging_controls_ = controls;
        flush_tlb(true);
    }
    look_at_controls();
    end_block();
}

void Cpu::look_at_controls() {
    const x86::Segment& code = system.segments[x86::cs];
    const bool real = real_or_v86();
    code_mode_ = {.size = code64_      ? CodeMode::Size::bits64
                          : code.big() ? CodeMode::Size::bits32
                                       : CodeMode::Size::bits16,
                  .real_or_v86 = real,
                  .user = cpl_ == 3,
                  .sse = sse_availability(system),
                  .avx = avx_availability(system, real)};
    if (!code64_ && code.limit != code_limit_) {
        code_limit_ = code.limit;
        generation_ = ++last_generation_;
        global_generation_ = ++last_generation_;
    }
    look_at_events();
    look_at_breakpoints();
    stepping_ = (other_flags & (flag::tf | flag::rf)) || watching_ || debug_.single_step ||
                config_.trace.instructions;
    select_tlb();
}

void Cpu::look_at_events() {
    std::uint32_t unwanted = 0;
    if ((other_flags & flag::if_) == 0) {
        unwanted |= Signals::interrupt;
    }
    if (nmi_blocked) {
        unwanted |= Signals::nmi;
    }
    wanted_signals_ = ~unwanted;
}

void Cpu::raise(x86::Vector vector, std::uint32_t error_code) { throw Fault{vector, error_code}; }

Fault Cpu::page_fault_at(std::uint64_t linear, std::uint32_t error_code) {
    system.cr2 = linear;
    return {x86::Vector::page_fault, error_code};
}

void Cpu::push(std::uint64_t value, unsigned size) {
    switch (size) {
    case 2: push_as(static_cast<std::uint16_t>(value)); break;
    case 4: push_as(static_cast<std::uint32_t>(value)); break;
    default: push_as(value); break;
    }
}

std::uint64_t Cpu::pop(unsigned size) {
    switch (size) {
    case 2: return pop_as<std::uint16_t>();
    case 4: return pop_as<std::uint32_t>();
    default: return pop_as<std::uint64_t>();
    }
}

} // namespace strata::cpu::interpreter
