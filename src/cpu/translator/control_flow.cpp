// Near branches.
#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using interpreter::same_page;
using Xbyak::Reg64;
using Xbyak::RegExp;

bool BlockCompiler::control_transfer(const Decoded& decoded) {
    const ZydisMnemonic mnemonic = decoded.info.mnemonic;
    const bool call = mnemonic == ZYDIS_MNEMONIC_CALL, ret = mnemonic == ZYDIS_MNEMONIC_RET;
    const bool direct = decoded.is_near_branch() && decoded.holds_target();
    if (!decoded.is_near_branch() || (!direct && !ret && !near_target(decoded))) {
        return false;
    }
    const std::uint64_t target = direct ? rest_.front().target() : 0;
    site_->leaves = true; // even where the target is the next instruction
    if (const auto condition = decoded.jump_condition()) {
        conditional_jump(*condition, target);
    } else if (ret) {
        return_from(static_cast<unsigned>(decoded.released()));
    } else if (!direct) {
        indirect(decoded, call);
    } else if (call) {
        call_to(target);
    } else if (!followed_by(target)) {
        jump_to(target);
    } else if (target <= rip()) {
        poll_now();
    }
    return true;
}

// ---- to known addresses ----

Link& BlockCompiler::make_link(std::uint64_t target) {
    native_.links.push_back({.target = target, .owner = &native_, .vectors_loaded = vectors_loaded_});
    return native_.links.back();
}

void BlockCompiler::exit_by(Link& link) {
    a.address(a.r14, Relocation::Kind::link, &link);
    a.jmp(stubs_.exit_link, Assembler::T_NEAR);
}

// Within the page, from code that is seldom run.
void BlockCompiler::emit_link_here(Link& link, std::size_t executed) {
    Label exit;
    count(executed);
    leave_map();
    a.jmp(exit, Assembler::T_NEAR);
    link.jump = a.here() - 4;
    a.L(exit);
    link.unlinked = a.here();
    exit_by(link);
}

// Goes to `same` if the page of `linear` is where it was when it had the id that is patched into the last
// four bytes before the jump. Uses rCX.
std::uint8_t* BlockCompiler::compare_page(std::uint64_t linear, std::uint32_t id, Label& same) {
    a.mov(a.ecx, a.state32(layout.fetch_id(native_.user, linear)));
    a.note(Relocation::Kind::fetch_id, linear);
    a.lea(a.ecx, a.ptr[a.rcx + 0x7FFF'FFFF]); // so that the assembler leaves room for any
    std::uint8_t* const compared = a.here() - 4;
    store_page_id(compared, id);
    a.jrcxz(same);
    return compared;
}

// In front of the block: for who comes by an address alone.
void BlockCompiler::emit_entry() {
    Label same;
    native_.entry = a.here();
    a.note(Relocation::Kind::page_id, native_.page_id, compare_page(native_.linear, native_.page_id, same));
    Link& link = make_link(native_.linear);
    a.address(a.r14, Relocation::Kind::link, &link);
    a.jmp(stubs_.exit_link, Assembler::T_NEAR);
    a.L(same);
    native_.start = a.here();
}

// The trace's one instruction reaches into the next page, which has to be where it was: else it is left in
// front of it.
void BlockCompiler::look_at_second_page(std::uint32_t id) {
    Label same;
    compare_page(native_.linear + memory::page_size, id, same);
    Label* const other = &late_.make<Label>();
    a.jmp(*other, Assembler::T_NEAR);
    a.L(same);
    Link& link = make_link(native_.linear);
    later([this, &link, other] {
        a.L(*other);
        leave_map();
        exit_by(link);
    });
}

// A jump that the translator directs to the target's code. Into another page it looks at that page's id.
void BlockCompiler::emit_link(std::uint64_t target, std::size_t executed) {
    Link& link = make_link(target);
    Label* const exit = &late_.make<Label>();
    count(executed);
    leave_map();
    if (!same_page(target, native_.linear)) {
        Label linked;
        link.page_id = compare_page(target, 0, linked);
        a.jmp(*exit, Assembler::T_NEAR);
        a.L(linked);
    }
    a.jmp(*exit, Assembler::T_NEAR);
    link.jump = a.here() - 4;
    later([this, &link, exit] {
        a.L(*exit);
        link.unlinked = a.here();
        exit_by(link);
    });
}

// A translation without shared checks lasts for one round: the next may find the region grown.
bool BlockCompiler::goes_round(std::uint64_t target) const {
    return target == native_.linear && (along_path_ ? loops_ && rest_.size() == 1 : target <= rip()) &&
           !native_.plain;
}

void BlockCompiler::jump_to(std::uint64_t target) {
    if (target <= rip() || goes_round(target)) {
        poll_now();
    }
    end_jump(target);
}

// Signals were looked for, if it leads back.
void BlockCompiler::end_jump(std::uint64_t target) {
    ended_ = true;
    settle_record();
    return_flag();
    if (goes_round(target)) {
        go_round();
    } else {
        emit_link(target, executed());
    }
}

void BlockCompiler::go_round() {
    count(executed());
    a.jmp(head(), Assembler::T_NEAR);
}

Label& BlockCompiler::head() {
    const bool vectors = vectors_loaded_ || !vectors_at_head_, x87 = x87_loaded_ || !x87_at_head_;
    return !vectors ? head_ : x87 ? head_with_all_ : head_with_vectors_;
}

namespace {

constexpr unsigned opposite = 1; // of a condition

} // namespace

void BlockCompiler::conditional_jump(unsigned condition, std::uint64_t taken) {
    if (followed_by(taken) && (taken <= rip() || along_path_)) { // a loop's next round, or the path
        if (along_path_ && taken <= rip()) {
            poll_now();
        }
        leave_if(condition ^ opposite, next_rip());
        return;
    }
    if (taken <= rip()) {
        poll_now();
    }
    if (goes_round(taken)) {
        settle_record();
        return_flag();
        if (layout.remaining) {
            Label done;
            a.jump_if(condition ^ opposite, done, Assembler::T_NEAR);
            go_round();
            a.L(done);
        } else {
            a.jump_if(condition, head(), Assembler::T_NEAR);
        }
    } else {
        leave_if(condition, taken);
    }
    if (!followed_by(next_rip())) {
        jump_to(next_rip());
    }
}

void BlockCompiler::leave_if(unsigned condition, std::uint64_t taken) {
    Label* const label = &late_.make<Label>();
    a.jump_if(condition, *label, Assembler::T_NEAR);
    if (same_page(taken, native_.linear) && borrowed_ == Borrowed::nothing && map_.exchanges().empty() &&
        record_.is_settled() && !layout.remaining) {
        Link& link = make_link(taken);
        link.jump = a.here() - 4;
        later([this, &link, label] {
            a.L(*label);
            link.unlinked = a.here();
            exit_by(link);
        });
        return;
    }
    later([this, taken, label, borrowed = borrowed_, vectors = vectors_loaded_, executed = executed(),
           record = record_] {
        a.L(*label);
        emit_return_flag(borrowed, false);
        emit_record(record);
        vectors_loaded_ = vectors;
        emit_link(taken, executed);
    });
}

void BlockCompiler::call_to(std::uint64_t target) {
    if (target <= rip()) {
        poll_now();
    }
    push_return();
    if (!followed_by(target)) {
        end_jump(target);
    }
}

// ---- signals ----

// Leaves in front of the current instruction if something asks for it, so that no loop runs for ever. Once is
// enough along a path, which is short: whoever comes to what follows has been here.
void BlockCompiler::poll_now() {
    if (along_path_ && std::exchange(polled_, true)) {
        return;
    }
    Label nothing;
    a.mov(a.ecx, a.state32(layout.pending_signals));
    a.jrcxz(nothing);
    Label *const out = &late_.make<Label>(), *const back = &late_.make<Label>();
    a.jmp(*out, Assembler::T_NEAR);
    a.L(nothing);
    a.L(*back);
    Link& link = make_link(rip());
    link.polls = true;
    later([this, &link, out, back, borrowed = borrowed_, before = index(), record = record_] {
        Label none, wanted;
        a.L(*out);
        a.pext(a.ecx, a.ecx, a.state32(layout.wanted_signals));
        a.jrcxz(none);
        a.jmp(wanted);
        a.L(none);
        a.jmp(*back, Assembler::T_NEAR);
        a.L(wanted);
        emit_return_flag(borrowed, false);
        emit_record(record);
        count(before);
        leave_map();
        a.address(a.r14, Relocation::Kind::link, &link);
        a.jmp(stubs_.signal, Assembler::T_NEAR);
    });
}

// ---- to addresses that are found out ----

// From the linear address in rCX to its code in R15, or to `miss`.
void BlockCompiler::find_target(Label& miss) {
    Label hit;
    in_r14_ = 0;
    a.pext(a.r14, a.rcx, a.state(layout.jump_mask));
    a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + layout.jump_tags[static_cast<std::size_t>(view_)]]);
    a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
    a.jrcxz(hit);
    a.jmp(miss, Assembler::T_NEAR);
    a.L(hit);
    a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + layout.jump_targets[static_cast<std::size_t>(view_)]]);
}

void BlockCompiler::return_from(unsigned release) {
    poll_now();
    const RegExp top = look_up(on_stack(0), word(), Access::read);
    const int popped = word() + static_cast<int>(release);
    if (const auto target = recorded_target()) {
        load_word(a.rcx, top);
        expect(*target);
        a.lea(a.r12, a.ptr[a.r12 + popped]);
        lead_on(*target);
        return;
    }
    return_flag();
    load_word(a.rcx, top);
    find_target(slow_path());
    a.lea(a.r12, a.ptr[a.r12 + popped]);
    count(executed());
    leave_map();
    a.jmp(a.r15);
    ended_ = true;
}

bool BlockCompiler::near_target(const Decoded& decoded) {
    const ZydisDecodedOperand& operand = decoded.operands[0];
    return operand.size == decoded.word() * 8 &&
           (operand.type == ZYDIS_OPERAND_TYPE_REGISTER ||
            (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && addressable(decoded, operand)));
}

void BlockCompiler::indirect(const Decoded& decoded, bool call) {
    poll_now();
    if (call) {
        borrow_flag(); // for the push; all of the slow path sees it so
    }
    const ZydisDecodedOperand& operand = decoded.operands[0];
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        const EffectiveAddress address = address_of(decoded, operand, next_rip());
        load_word(a.rcx, look_up(address, word(), Access::read));
    } else {
        const Reg64 from = a.guest(number_of(operand.reg.value), a.rcx);
        if (native_.narrow) {
            a.mov(a.ecx, from.cvt32());
        } else {
            a.mov(a.rcx, from);
        }
    }
    if (const auto target = recorded_target()) {
        expect(*target);
        if (call) {
            push_return();
        }
        lead_on(*target);
        return;
    }
    if (call) {
        find_target(slow_path());
        a.mov(a.state(layout.target), a.r15);
        push_return();
        return_flag();
        count(executed());
        leave_map();
        a.jmp(a.state(layout.target));
    } else {
        return_flag();
        find_target(slow_path());
        count(executed());
        leave_map();
        a.jmp(a.r15);
    }
    ended_ = true;
}

} // namespace strata::cpu::translator
