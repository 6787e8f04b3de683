// Instructions of kernels that are frequent and short: the interrupt flag, SMAP's switch, the flags on the
// stack, SWAPGS. At privilege level 0 in protected mode none of them faults but by its memory. What they
// can't do at once (an interrupt waits, flags change that translated code has built in) the interpreter does.
#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using interpreter::DataView;

namespace {

namespace flag = x86::flag;

constexpr std::uint32_t interrupt = Signals::interrupt;

} // namespace

bool BlockCompiler::system_instruction(const Decoded& decoded) {
    if (native_.user || (view_ != DataView::supervisor && view_ != DataView::supervisor_smap_off)) {
        return false;
    }
    const bool full = decoded.info.operand_width == decoded.word() * 8;
    bool done = true;
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_CLI: clear_interrupt_flag(); break;
    case ZYDIS_MNEMONIC_STI: done = set_interrupt_flag(); break;
    case ZYDIS_MNEMONIC_STAC: done = switch_smap(DataView::supervisor_smap_off); break;
    case ZYDIS_MNEMONIC_CLAC: done = switch_smap(DataView::supervisor); break;
    case ZYDIS_MNEMONIC_SWAPGS: swap_gs(); break;
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ: done = full && (push_flags(), true); break;
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: done = full && (pop_flags(), true); break;
    default: return false;
    }
    in_r14_ = 0;
    return done;
}

const std::uint8_t* BlockCompiler::stub_for(const Decoded& decoded) const {
    if (native_.narrow || layout.remaining) {
        return stubs_.interpret;
    }
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL: return view_ == DataView::user ? stubs_.system_call : stubs_.interpret;
    case ZYDIS_MNEMONIC_SYSRET:
        return !native_.user && decoded.info.operand_width == 64 ? stubs_.system_return : stubs_.interpret;
    case ZYDIS_MNEMONIC_IRETQ: return native_.user ? stubs_.interpret : stubs_.interrupt_return;
    default: return stubs_.strings.find(decoded).value_or(stubs_.interpret);
    }
}

// Bits that PEXT takes out and PDEP puts back are those of the mask; no flag changes.
void BlockCompiler::clear_bits(int state, int kept_bits) {
    a.mov(a.r14, a.state(state));
    a.pext(a.r14, a.r14, a.state(kept_bits));
    a.pdep(a.r14, a.r14, a.state(kept_bits));
}

void BlockCompiler::clear_interrupt_flag() {
    clear_bits(layout.other_flags, layout.all_but_if);
    a.mov(a.state(layout.other_flags), a.r14);
    a.mov(a.r14d, a.state32(layout.wanted_signals));
    a.pext(a.r14d, a.r14d, a.state32(layout.all_but_interrupt));
    a.pdep(a.r14d, a.r14d, a.state32(layout.all_but_interrupt));
    a.mov(a.state32(layout.wanted_signals), a.r14d);
}

// While nothing waits, nobody sees the shadow behind it: translated code does not look for signals there.
bool BlockCompiler::set_interrupt_flag() {
    if (rest_.size() == 1) {
        return false;
    }
    Label nothing;
    a.mov(a.ecx, a.state32(layout.pending_signals));
    a.jrcxz(nothing);
    a.jmp(slow_path(), Assembler::T_NEAR);
    a.L(nothing);
    clear_bits(layout.other_flags, layout.all_but_if);
    a.lea(a.r14, a.ptr[a.r14 + static_cast<int>(flag::if_)]);
    a.mov(a.state(layout.other_flags), a.r14);
    a.mov(a.r14d, a.state32(layout.wanted_signals));
    a.pext(a.r14d, a.r14d, a.state32(layout.all_but_interrupt));
    a.pdep(a.r14d, a.r14d, a.state32(layout.all_but_interrupt));
    a.lea(a.r14d, a.ptr[a.r14 + static_cast<int>(interrupt)]);
    a.mov(a.state32(layout.wanted_signals), a.r14d);
    return true;
}

// The view is built into translated code: what follows is another block's. With SMAP off AC has no such
// meaning.
bool BlockCompiler::switch_smap(DataView to) {
    if (!smap_) {
        return false;
    }
    if (to == view_) {
        return true;
    }
    const bool allows = to == DataView::supervisor_smap_off;
    const auto ac = static_cast<int>(flag::ac);
    a.mov(a.r14, a.state(layout.other_flags));
    a.lea(a.r14, a.ptr[a.r14 + (allows ? ac : -ac)]);
    a.mov(a.state(layout.other_flags), a.r14);
    a.mov(a.byte[a.rsp + layout.data_view], static_cast<int>(to));
    a.address(a.r14, Relocation::Kind::data_set, layout.data_sets[static_cast<std::size_t>(to)]);
    a.mov(a.state(layout.data_tlb), a.r14);
    site_->leaves = true;
    jump_to(next_rip());
    return true;
}

void BlockCompiler::swap_gs() {
    const int gs = layout.segment_base(x86::gs);
    a.mov(a.r14, a.state(gs));
    a.mov(a.rcx, a.state(layout.kernel_gs_base));
    a.mov(a.state(gs), a.rcx);
    a.mov(a.state(layout.kernel_gs_base), a.r14);
}

void BlockCompiler::push_flags() {
    const Xbyak::RegExp top = look_up(on_stack(-word()), word(), Access::write);
    a.pushfq();
    a.pop(a.r15);
    a.pext(a.r15, a.r15, a.state(layout.arithmetic_flags));
    a.pdep(a.r15, a.r15, a.state(layout.arithmetic_flags));
    a.mov(a.rcx, a.state(layout.other_flags)); // RF is clear: who steps runs no translated code
    a.lea(a.r15, a.ptr[a.rcx + a.r15]);
    store_word(top, a.r15);
    a.lea(a.r12, a.ptr[a.r12 - word()]);
}

// All arithmetic flags are overwritten, so that they may be used before.
void BlockCompiler::pop_flags() {
    constexpr auto free = static_cast<std::uint32_t>(flag::arithmetic | flag::if_);
    Label same;
    const Xbyak::RegExp top = look_up(on_stack(0), word(), Access::read);
    load_word(a.r15, top);
    a.mov(a.r14, a.r15);
    a.xor_(a.r14, a.state(layout.other_flags));
    a.mov(a.rcx, a.r14);
    a.and_(a.rcx, static_cast<int>(~free));
    a.jne(slow_path(), Assembler::T_NEAR);
    a.test(a.r14d, static_cast<std::uint32_t>(flag::if_));
    a.je(same);
    a.cmp(a.state32(layout.pending_signals), 0);
    a.jne(slow_path(), Assembler::T_NEAR);
    a.xor_(a.state32(layout.other_flags), static_cast<std::uint32_t>(flag::if_));
    a.xor_(a.state32(layout.wanted_signals), interrupt);
    a.L(same);
    a.lea(a.r12, a.ptr[a.r12 + word()]);
    a.and_(a.r15d, static_cast<std::uint32_t>(flag::arithmetic));
    a.or_(a.r15d, static_cast<std::uint32_t>(flag::fixed));
    a.push(a.r15);
    a.popfq();
}

} // namespace strata::cpu::translator
