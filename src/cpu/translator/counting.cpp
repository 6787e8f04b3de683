// Time that is made of instructions (cpu/instruction_time.hpp). NativeState::remaining is how many there may
// be until time is looked at. A trace, and each round of a loop in it, begins only if all of it fits; what
// was executed is taken off wherever it is left, so that the interpreter does the last ones, to the
// instruction. Flags stay as they are.
#include "cpu/translator/block_compiler.hpp"
#include "cpu/translator/translator.hpp"

namespace strata::cpu::translator {

// ---- in translated code ----

// Leaves in front of the trace if time is to be looked at within it. Uses rCX.
void BlockCompiler::look_at_time() {
    if (!layout.remaining) {
        return;
    }
    Label enough;
    a.mov(a.rcx, a.state(*layout.remaining));
    a.lea(a.rcx, a.ptr[a.rcx - static_cast<int>(rest_.size())]);
    a.pext(a.rcx, a.rcx, a.state(layout.sign));
    a.jrcxz(enough);
    Link& link = make_link(native_.linear);
    link.polls = true;
    Label* const out = &late_.make<Label>();
    a.jmp(*out, Assembler::T_NEAR);
    a.L(enough);
    later([this, &link, out] {
        a.L(*out);
        leave_map();
        exit_by(link);
    });
}

// So many of the trace were executed where it is left. Uses R14.
void BlockCompiler::count(std::size_t instructions) {
    if (!layout.remaining || instructions == 0) {
        return;
    }
    a.mov(a.r14, a.state(*layout.remaining));
    a.lea(a.r14, a.ptr[a.r14 - static_cast<int>(instructions)]);
    a.mov(a.state(*layout.remaining), a.r14);
}

// ---- around it ----

bool Translator::fits(const NativeBlock& native) const {
    return !layout_.remaining || (!cpu_.due() && native.sites.size() <= cpu_.deadline_ - cpu_.retired_);
}

void Translator::begin_counting() {
    until_ = cpu_.deadline_;
    frame_.native.remaining = until_ - cpu_.retired_;
}

// Of the trace `executed` are not taken off yet.
void Translator::end_counting(std::uint64_t executed) {
    cpu_.retired_ = until_ - frame_.native.remaining + executed;
}

} // namespace strata::cpu::translator
