// Where a trace follows a path that was seen to be taken: through branches whose target only the guest knows,
// and from page to page.
#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using interpreter::same_page;

std::optional<std::uint64_t> BlockCompiler::recorded_target() const {
    if (rip() == native_.linear) {
        return std::nullopt; // expect() would lead back to it
    }
    if (rest_.size() > 1) {
        return rest_[1].rip;
    }
    return along_path_ && loops_ ? std::optional(native_.linear) : std::nullopt;
}

// The linear address in rCX is likely to be `target`. If not, the current instruction is carried out by a
// translation that begins with it. Uses R15.
void BlockCompiler::expect(std::uint64_t target) {
    Label same;
    if (const std::uint64_t minus = std::uint64_t{0} - target; fits_immediate(minus)) {
        a.lea(a.rcx, a.ptr[a.rcx + static_cast<std::size_t>(minus)]);
    } else {
        a.mov(a.r15, minus);
        a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
    }
    a.jrcxz(same);
    Label* const other = &late_.make<Label>();
    a.jmp(*other, Assembler::T_NEAR);
    a.L(same);
    Link& link = make_link(rip());
    later([this, &link, other, borrowed = borrowed_, before = index()] {
        a.L(*other);
        emit_return_flag(borrowed, false);
        emit_link_here(link, before);
    });
}

// Behind a branch to what was expected.
void BlockCompiler::lead_on(std::uint64_t target) {
    if (!followed_by(target)) {
        end_jump(target);
    }
}

// The next instruction may be in another page, which has to be where it was. Flags stay.
void BlockCompiler::enter_page() {
    const std::uint64_t next = rest_[1].rip;
    if (same_page(next, rip()) || same_page(next, native_.linear)) {
        return;
    }
    settle_record();
    Label same;
    compare_page(next, rest_[1].page_id, same);
    Label* const other = &late_.make<Label>();
    a.jmp(*other, Assembler::T_NEAR);
    a.L(same);
    later([this, next, other, borrowed = borrowed_, vectors = vectors_loaded_, executed = executed()] {
        a.L(*other);
        emit_return_flag(borrowed, false);
        vectors_loaded_ = vectors;
        emit_link(next, executed);
    });
}

} // namespace strata::cpu::translator
