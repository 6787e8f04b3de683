// The stubs that traces call in place of Stubs::interpret, and what they load.
#include "cpu/translator/fast_system_calls.hpp"

#include "cpu/translator/stubs.hpp"

#include <bit>

namespace strata::cpu::translator {

namespace {

namespace flag = x86::flag;

using interpreter::DataView;
using Xbyak::Reg64;

constexpr int guest_rcx = 13, guest_r11 = 11; // host registers, at the ends of traces

class FastCallEmitter {
public:
    FastCallEmitter(Assembler& assembler, const FastCallExits& exits)
        : a(assembler), layout(assembler.layout()), exits_(exits) {}

    // Called with R14 = Site*.
    void system_call() {
        Label slow, fast;
        a.mov(a.ecx, a.dword[a.rsp + layout.fast_calls + 8]); // below the return address
        a.jrcxz(slow);
        a.jmp(fast);
        a.L(slow);
        a.jmp(exits_.interpret);
        a.L(fast);
        a.lea(a.rsp, a.ptr[a.rsp + 8]);
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
        go_to_rcx(DataView::supervisor);
    }

    void system_return() {
        constexpr std::uint64_t others = interpreter::sysret_flags & ~flag::arithmetic;
        constexpr int interrupt_alone =
            1 << std::popcount(others & (flag::if_ - 1)); // of them, as PEXT gives it
        Label usual, nothing_waits, canonical, slow;
        a.mov(a.ecx, a.dword[a.rsp + layout.fast_returns + 8]);
        a.jrcxz(slow);
        a.pext(a.rcx, Reg64(guest_r11), a.qword[a.rsp + layout.fast_other_flags + 8]);
        a.lea(a.rcx, a.ptr[a.rcx - interrupt_alone]);
        a.jrcxz(usual);
        a.L(slow);
        a.jmp(exits_.interpret);
        a.L(usual);
        a.mov(a.ecx, a.dword[a.rsp + layout.pending_signals + 8]);
        a.jrcxz(nothing_waits);
        a.jmp(slow);
        a.L(nothing_waits);
        a.pext(a.rcx, Reg64(guest_rcx), a.qword[a.rsp + layout.fast_upper_half + 8]);
        a.jrcxz(canonical);
        a.jmp(slow);
        a.L(canonical);
        a.lea(a.rsp, a.ptr[a.rsp + 8]);
        a.mov(a.state32(layout.other_flags), static_cast<std::uint32_t>(flag::if_ | flag::fixed));
        a.or_(a.state32(layout.wanted_signals), std::uint32_t{Signals::interrupt});
        load(layout.fast_user, 3, DataView::user);
        load_arithmetic_flags();
        a.mov(a.rcx, Reg64(guest_rcx));
        go_to_rcx(DataView::user);
    }

private:
    // CS, SS, and what follows from the privilege level. Uses R15.
    void load(int segments, unsigned privilege, DataView view) {
        static_assert(sizeof(interpreter::CodeAndStack) == 2 * sizeof(x86::Segment) &&
                      sizeof(x86::Segment) % 8 == 0 && x86::ss == x86::cs + 1);
        for (int at = 0; at < static_cast<int>(sizeof(interpreter::CodeAndStack)); at += 8) {
            a.mov(a.r15, a.state(segments + at));
            a.mov(a.state(layout.code_segment + at), a.r15);
        }
        a.mov(a.state32(layout.cpl), privilege);
        a.mov(a.byte[a.rsp + layout.user_mode], privilege == 3 ? 1 : 0);
        a.mov(a.byte[a.rsp + layout.data_view], static_cast<int>(view));
        a.mov(a.r15, reinterpret_cast<std::uintptr_t>(layout.data_sets[static_cast<std::size_t>(view)]));
        a.mov(a.state(layout.data_tlb), a.r15);
    }

    // From the guest's R11.
    void load_arithmetic_flags() {
        const Xbyak::Reg32 from(guest_r11);
        constexpr int of = std::countr_zero(flag::of);
        a.mov(a.r14, a.rax);
        a.mov(a.r15d, from);
        a.shl(a.r15d, 8); // AH, as SAHF has it
        a.mov(a.eax, from);
        a.shr(a.eax, of);
        a.and_(a.eax, 1);
        a.or_(a.eax, a.r15d);
        a.add(a.al, 127); // OF
        a.sahf();
        a.mov(a.rax, a.r14);
    }

    // To the linear address in rCX, which nobody has looked at yet.
    void go_to_rcx(DataView view) {
        const auto number = static_cast<std::size_t>(view);
        Label hit;
        a.mov(a.state(layout.rip), a.rcx);
        a.pext(a.r14, a.rcx, a.state(layout.jump_mask));
        a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + layout.jump_tags[number]]);
        a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
        a.jrcxz(hit);
        a.mov(a.ecx, 0);
        a.mov(a.state(layout.exit_link), a.rcx);
        a.jmp(exits_.leave);
        a.L(hit);
        a.jmp(a.qword[a.rsp + a.r14 * 8 + layout.jump_targets[number]]);
    }

    Assembler& a;
    const StateLayout& layout;
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
