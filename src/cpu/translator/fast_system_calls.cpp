// The stubs that traces call in place of Stubs::interpret, and what they load.
#include "cpu/translator/fast_system_calls.hpp"

#include "cpu/translator/stub_parts.hpp"
#include "cpu/translator/stubs.hpp"

#include <bit>

namespace strata::cpu::translator {

namespace {

namespace flag = x86::flag;

using interpreter::DataView;
using Xbyak::Reg64;

class FastCallEmitter : StubParts {
public:
    FastCallEmitter(Assembler& assembler, const FastCallExits& exits) : StubParts(assembler), exits_(exits) {}

    // Called with R14 = Site*.
    void system_call() {
        Label slow, fast;
        a.mov(a.ecx, below32(layout.fast_calls));
        a.jrcxz(slow);
        a.mov(a.rcx, below(layout.x87_last)); // CS and SS belong to its record
        a.jrcxz(fast);
        a.L(slow);
        a.jmp(exits_.interpret);
        a.L(fast);
        a.lea(a.rsp, a.ptr[a.rsp + return_address]);
        a.mov(Reg64(guest_rcx), a.qword[a.r14 + offsetof(Site, next_rip)]);
        a.pushfq();
        a.pop(a.r15);
        a.mov(a.rcx, a.state(layout.other_flags)); // RF is clear: who steps runs no translated code
        a.and_(a.r15d, static_cast<std::uint32_t>(flag::arithmetic));
        a.or_(a.r15, a.rcx);
        a.mov(Reg64(guest_r11), a.r15);
        a.and_(a.rcx, a.state(layout.fast_kept_flags));
        a.mov(a.state(layout.other_flags), a.rcx);
        a.and_(a.state32(layout.wanted_signals), ~std::uint32_t{Signals::interrupt});
        load(layout.fast_supervisor, 0, DataView::supervisor);
        a.mov(a.ecx, 1);
        a.add(a.cl, 1); // clears all arithmetic flags
        a.mov(a.rcx, a.state(layout.lstar));
        go_to_rcx(DataView::supervisor, exits_.leave);
    }

    void system_return() {
        constexpr std::uint64_t others = interpreter::sysret_flags & ~flag::arithmetic;
        constexpr int interrupt_alone =
            1 << std::popcount(others & (flag::if_ - 1)); // of them, as PEXT gives it
        Label settled, usual, nothing_waits, canonical, slow;
        a.mov(a.ecx, below32(layout.fast_returns));
        a.jrcxz(slow);
        a.mov(a.rcx, below(layout.x87_last));
        a.jrcxz(settled);
        a.jmp(slow);
        a.L(settled);
        a.pext(a.rcx, Reg64(guest_r11), below(layout.fast_other_flags));
        a.lea(a.rcx, a.ptr[a.rcx - interrupt_alone]);
        a.jrcxz(usual);
        a.L(slow);
        a.jmp(exits_.interpret);
        a.L(usual);
        a.mov(a.ecx, below32(layout.pending_signals));
        a.jrcxz(nothing_waits);
        a.jmp(slow);
        a.L(nothing_waits);
        a.pext(a.rcx, Reg64(guest_rcx), below(layout.fast_upper_half));
        a.jrcxz(canonical);
        a.jmp(slow);
        a.L(canonical);
        a.lea(a.rsp, a.ptr[a.rsp + return_address]);
        a.mov(a.state32(layout.other_flags), static_cast<std::uint32_t>(flag::if_ | flag::fixed));
        a.or_(a.state32(layout.wanted_signals), std::uint32_t{Signals::interrupt});
        load(layout.fast_user, 3, DataView::user);
        a.mov(a.r14, a.rax);
        load_arithmetic_flags(Xbyak::Reg32(guest_r11));
        a.mov(a.rax, a.r14);
        a.mov(a.rcx, Reg64(guest_rcx));
        go_to_rcx(DataView::user, exits_.leave);
    }

private:
    const FastCallExits& exits_;
};

} // namespace

void FastSystemCalls::look_at(const x86::SystemState& system, std::array<bool, 2> jumps_are_wide) {
    constexpr std::uint64_t cleared = flag::arithmetic | flag::if_ | flag::tf | flag::ac;
    const std::array now{system.efer, system.star, system.lstar, system.fmask};
    if (now != msrs_) {
        msrs_ = now;
        usual_ = (system.efer & x86::efer::sce) != 0 && (system.fmask & cleared) == cleared;
        kept_flags = ~(system.fmask | flag::arithmetic | flag::rf);
        supervisor = interpreter::syscall_segments(system.star);
        user = interpreter::sysret_segments(system.star);
    }
    calls = usual_ && jumps_are_wide[0] ? 1 : 0;
    returns = usual_ && jumps_are_wide[1] ? 1 : 0;
}

void emit_fast_calls(Assembler& assembler, const FastCallExits& exits, Stubs& stubs) {
    FastCallEmitter emitter(assembler, exits);
    assembler.align(16);
    stubs.system_call = assembler.here();
    emitter.system_call();
    assembler.align(16);
    stubs.system_return = assembler.here();
    emitter.system_return();
}

} // namespace strata::cpu::translator
