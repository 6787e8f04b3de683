// SDM volume 2, IRET; volume 3 sections 5.8.3 and 6.14.3.
#include "cpu/translator/fast_interrupt_return.hpp"

#include "cpu/translator/stub_parts.hpp"
#include "cpu/translator/stubs.hpp"
#include "cpu/x86/descriptor.hpp"

namespace strata::cpu::translator {

namespace {

namespace flag = x86::flag;

using interpreter::DataView;
using Xbyak::Reg64;

// What the processor pushed, from the stack pointer on.
constexpr int rip_at = 0, cs_at = 8, flags_at = 16, rsp_at = 24, ss_at = 32, frame_bytes = 40;

class ReturnEmitter : StubParts {
public:
    ReturnEmitter(Assembler& assembler, const FastCallExits& exits) : StubParts(assembler), exits_(exits) {}

    void emit() {
        Label kernel, kernel_without_stack, slow;
        put_flags_away();
        a.mov(below(layout.kept), a.r14);
        a.cmp(below(layout.x87_last), 0); // CS and SS belong to its record
        a.jne(slow, Assembler::T_NEAR);
        find_frame(slow);
        a.movzx(a.ecx, a.word[a.r15 + cs_at]);
        a.mov(a.eax, a.ecx);
        a.and_(a.eax, 3); // RPL
        a.je(kernel, Assembler::T_NEAR);
        go(FastInterruptReturns::to_user, slow);
        a.L(kernel);
        a.cmp(a.word[a.r15 + ss_at], 0);
        a.je(kernel_without_stack, Assembler::T_NEAR);
        go(FastInterruptReturns::to_kernel, slow);
        a.L(kernel_without_stack);
        go(FastInterruptReturns::to_kernel_without_stack, slow);
        a.L(slow);
        give_flags_back();
        a.mov(a.r14, below(layout.kept));
        a.jmp(exits_.interpret);
    }

private:
    // R15: the frame's host address.
    void find_frame(Label& slow) {
        const Reg64 rsp(guest_rsp);
        a.mov(a.r14d, frame_bytes);
        leave_unless_in_page(rsp, slow);
        a.mov(a.rcx, below(layout.data_tlb));
        find_in_tlb(a.rcx, 0, rsp, false, slow);
        a.lea(a.r15, a.ptr[a.r15 + rsp]);
    }

    [[nodiscard]] int known(FastInterruptReturns::Kind kind, std::size_t member) const {
        return layout.known_returns + static_cast<int>(kind * sizeof(KnownReturn) + member);
    }

    // With CS's selector in ECX. All of the frame is read once: others may write there.
    void go(FastInterruptReturns::Kind kind, Label& slow) {
        const bool user = kind == FastInterruptReturns::to_user;
        const DataView view = user ? DataView::user : DataView::supervisor;
        a.cmp(a.ecx, below32(known(kind, offsetof(KnownReturn, code_selector))));
        a.jne(slow, Assembler::T_NEAR);
        a.movzx(a.ecx, a.word[a.r15 + ss_at]);
        a.cmp(a.ecx, below32(known(kind, offsetof(KnownReturn, stack_selector))));
        a.jne(slow, Assembler::T_NEAR);
        a.cmp(below32(layout.wide_jumps + (user ? 4 : 0)), 0);
        a.je(slow, Assembler::T_NEAR);
        look_at_flags(slow);
        look_at_target(slow);
        if (user) {
            look_at_data_segments(slow);
        }
        a.mov(below(layout.kept + 8), a.r15);
        look_at_table(kind, slow);
        a.mov(a.r14, below(layout.kept + 8));
        a.lea(a.rsp, a.ptr[a.rsp + return_address]);
        a.mov(Reg64(guest_rsp), a.qword[a.r14 + rsp_at]);
        a.mov(a.r14, a.state(layout.kept + 16));
        load_other_flags();
        load(known(kind, offsetof(KnownReturn, segments)), user ? 3 : 0, view);
        load_arithmetic_flags(a.r14d);
        a.mov(a.rax, a.state(layout.scratch[0]));
        a.mov(a.rcx, a.state(layout.kept + 24));
        go_to_rcx(view, exits_.leave);
    }

    // Those that only debuggers, old programs and SMAP know stay with the interpreter. RF is nothing to who
    // runs translated code: there is no breakpoint that it could hold off.
    void look_at_flags(Label& slow) {
        constexpr std::uint64_t usual = flag::arithmetic | flag::if_ | flag::rf;
        Label disabled;
        a.test(below32(layout.other_flags), static_cast<std::uint32_t>(flag::nt));
        a.jne(slow, Assembler::T_NEAR);
        a.cmp(a.byte[a.rsp + layout.nmi_blocked + return_address], 0);
        a.jne(slow, Assembler::T_NEAR);
        a.mov(a.rax, a.qword[a.r15 + flags_at]);
        a.mov(below(layout.kept + 16), a.rax);
        a.and_(a.rax, static_cast<int>(~usual));
        a.cmp(a.rax, static_cast<int>(flag::fixed));
        a.jne(slow, Assembler::T_NEAR);
        a.test(below32(layout.kept + 16), static_cast<std::uint32_t>(flag::if_));
        a.je(disabled);
        a.cmp(below32(layout.pending_signals), 0);
        a.jne(slow, Assembler::T_NEAR);
        a.L(disabled);
    }

    // A canonical address.
    void look_at_target(Label& slow) {
        constexpr int sign = 47;
        a.mov(a.rcx, a.qword[a.r15 + rip_at]);
        a.mov(below(layout.kept + 24), a.rcx);
        a.sar(a.rcx, sign);
        a.add(a.rcx, 1);
        a.cmp(a.rcx, 1);
        a.jump_if(above, slow, Assembler::T_NEAR);
    }

    // None of them is one that level 3 must not keep: all are null.
    void look_at_data_segments(Label& slow) {
        constexpr int unusable = offsetof(x86::Segment, unusable) - offsetof(x86::Segment, base);
        a.mov(a.al, 1);
        for (const unsigned segment : {x86::es, x86::ds, x86::fs, x86::gs}) {
            a.and_(a.al, a.byte[a.rsp + layout.segment_base(segment) + unusable + return_address]);
        }
        a.je(slow, Assembler::T_NEAR);
    }

    void look_at_table(FastInterruptReturns::Kind kind, Label& slow) {
        const auto set = layout.tlb_set(DataView::supervisor) + return_address;
        a.mov(a.rcx, below(layout.gdtr));
        a.cmp(a.rcx, below(known(kind, offsetof(KnownReturn, table))));
        a.jne(slow, Assembler::T_NEAR);
        a.movzx(a.ecx, a.word[a.rsp + layout.gdtr + offsetof(x86::DescriptorTable, limit) + return_address]);
        a.cmp(a.ecx, below32(known(kind, offsetof(KnownReturn, table_limit))));
        a.jne(slow, Assembler::T_NEAR);
        const auto compare = [&](std::size_t at, std::size_t descriptor) {
            a.mov(a.rcx, below(known(kind, at)));
            find_in_tlb(a.rsp, set, a.rcx, false, slow);
            a.mov(a.rcx, a.qword[a.r15 + a.rcx]);
            a.cmp(a.rcx, below(known(kind, descriptor)));
            a.jne(slow, Assembler::T_NEAR);
        };
        compare(offsetof(KnownReturn, code_at), offsetof(KnownReturn, code_descriptor));
        compare(offsetof(KnownReturn, stack_at), offsetof(KnownReturn, stack_descriptor));
    }

    // From R14. Uses rAX.
    void load_other_flags() {
        static_assert(flag::if_ > Signals::interrupt);
        constexpr int to_signal =
            std::countr_zero(flag::if_) - std::countr_zero(std::uint32_t{Signals::interrupt});
        a.mov(a.eax, a.r14d);
        a.and_(a.eax, static_cast<std::uint32_t>(flag::if_));
        a.mov(a.r15d, a.eax);
        a.or_(a.eax, static_cast<std::uint32_t>(flag::fixed));
        a.mov(a.state(layout.other_flags), a.rax);
        a.mov(a.eax, a.state32(layout.wanted_signals));
        a.and_(a.eax, ~std::uint32_t{Signals::interrupt});
        a.shr(a.r15d, to_signal);
        a.or_(a.eax, a.r15d);
        a.mov(a.state32(layout.wanted_signals), a.eax);
    }

    const FastCallExits& exits_;
};

} // namespace

void FastInterruptReturns::learn(const x86::SystemState& system, interpreter::TlbSet& tlb) {
    const x86::Segment &code = system.segments[x86::cs], &stack = system.segments[x86::ss];
    const unsigned privilege = x86::rpl_of(code.selector);
    const bool null = x86::is_null(stack.selector);
    KnownReturn now{.code_selector = code.selector,
                    .stack_selector = stack.selector,
                    .table = system.gdtr.base,
                    .table_limit = system.gdtr.limit,
                    .segments = {code, stack}};
    // What is there now may be younger than what was loaded.
    const auto has = [&](const x86::Segment& segment, std::uint64_t& at, std::uint64_t& descriptor) {
        constexpr unsigned local_table = 4, index = 0xFFF8;
        at = now.table + (segment.selector & index);
        const interpreter::TlbEntry entry = tlb.at(at);
        if ((segment.selector & local_table) != 0 || entry.read_tag != interpreter::tag_of(at) ||
            at % memory::page_size > memory::page_size - sizeof descriptor) {
            return false;
        }
        descriptor = interpreter::load_host<std::uint64_t>(entry.addend + at);
        return x86::Descriptor{descriptor}.segment(segment.selector) == segment;
    };
    if (!code.long_mode() || (privilege != 0 && privilege != 3) ||
        !has(code, now.code_at, now.code_descriptor)) {
        return;
    }
    if (null) {
        now.stack_at = now.code_at;
        now.stack_descriptor = now.code_descriptor;
    } else if (!has(stack, now.stack_at, now.stack_descriptor)) {
        return;
    }
    if (!null || stack == x86::null_segment(stack.selector, privilege)) {
        known[privilege == 3 ? to_user : null ? to_kernel_without_stack : to_kernel] = now;
    }
}

const std::uint8_t* emit_interrupt_return(Assembler& assembler, const FastCallExits& exits) {
    assembler.align(16);
    const std::uint8_t* const start = assembler.here();
    ReturnEmitter(assembler, exits).emit();
    return start;
}

} // namespace strata::cpu::translator
