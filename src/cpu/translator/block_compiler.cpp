#include "cpu/translator/block_compiler.hpp"

#include <algorithm>

namespace strata::cpu::translator {

using Xbyak::Reg64;

namespace {

bool does_nothing(const ZydisDecodedInstruction& info) {
    return info.meta.category == ZYDIS_CATEGORY_NOP || info.meta.category == ZYDIS_CATEGORY_WIDENOP ||
           info.meta.category == ZYDIS_CATEGORY_PREFETCH || info.mnemonic == ZYDIS_MNEMONIC_ENDBR64 ||
           info.mnemonic == ZYDIS_MNEMONIC_ENDBR32;
}

} // namespace

void BlockCompiler::compile(const Trace& trace) {
    rest_ = trace.instructions();
    round_ = trace.round();
    along_path_ = trace.along_path();
    loops_ = trace.loops();
    repeats_ = round_ < rest_.size();
    sharing_.plan(rest_);
    shared_.assign(sharing_.groups().size(), {});
    native_.insns.reserve(rest_.size());
    native_.sites.reserve(rest_.size());
    emit_entry();
    map_ = RegisterMap(trace);
    a.use(map_);
    enter_map();
    a.L(head_);
    vectors_at_head_ = at_start(trace, &BlockCompiler::wants_vectors);
    x87_at_head_ = at_start(trace, &BlockCompiler::wants_x87);
    if (vectors_at_head_) {
        need_vectors();
    }
    a.L(head_with_vectors_);
    native_.start_with_vectors = map_.exchanges().empty() ? a.here() : native_.start;
    if (trace.second_page_id() != 0) {
        look_at_second_page(trace.second_page_id());
    }
    if (x87_at_head_) {
        need_x87();
    }
    a.L(head_with_all_);
    look_at_time();
    if (vectors_loaded_ && !map_.exchanges().empty()) {
        later([this] {
            native_.start_with_vectors = a.here();
            enter_map();
            a.jmp(head_with_vectors_, Assembler::T_NEAR);
        });
    }
    for (; !rest_.empty(); rest_ = rest_.subspan(1)) {
        instruction(rest_.front());
    }
    starts_.push_back(a.here());
    late_.emit();
    for (const auto& [instruction, label] : trap_labels_) {
        traps_.push_back({instruction, label->address()});
    }
}

void BlockCompiler::instruction(const TraceInstruction& instruction) {
    native_.insns.push_back(instruction.insn);
    native_.sites.push_back(
        {.insn = &native_.insns.back(),
         .next_rip = instruction.next_rip(),
         .mnemonic = static_cast<std::uint16_t>(instruction.known ? instruction.decoded.info.mnemonic
                                                                  : ZYDIS_MNEMONIC_INVALID),
         .before = static_cast<std::uint16_t>(native_.sites.size())});
    site_ = &native_.sites.back();
    starts_.push_back(a.here());
    slow_ = nullptr;
    resume_ = nullptr;
    accesses_ = 0;
    const FlagEffects effects = flag_effects(instruction);
    if (effects.needs.has(borrowed_)) {
        return_flag();
    }
    settle_record_for(instruction);
    translate(instruction);
    if (effects.overwrites.has(borrowed_)) {
        borrowed_ = Borrowed::nothing;
    }
    if (resume_ != nullptr) {
        resume_->in_r14 = in_r14_;
        a.L(resume_->label);
    }
    if (ended_) {
        return;
    }
    if (rest_.size() == 1) {
        jump_to(next_rip());
    } else {
        enter_page();
    }
}

void BlockCompiler::translate(const TraceInstruction& instruction) {
    if (!instruction.known) {
        interpret();
        return;
    }
    const Decoded& decoded = instruction.decoded;
    if (does_nothing(decoded.info) || control_transfer(decoded) || stack_instruction(decoded) ||
        system_instruction(decoded) || bit_string(decoded) || exchange_pair(decoded) ||
        processor_register(decoded) || x87_instruction(decoded)) {
        return;
    }
    if (decoded.info.mnemonic == ZYDIS_MNEMONIC_LEA && decoded.info.address_width == word() * 8) {
        lea(decoded);
    } else if (!copy(decoded)) {
        interpret(stub_for(decoded));
    }
}

void BlockCompiler::interpret(const std::uint8_t* stub) {
    settle_record();
    return_flag();
    leave_map();
    a.address(a.r14, Relocation::Kind::site, site_);
    a.call(stub);
    enter_map();
    vectors_loaded_ = x87_loaded_ = false;
    std::ranges::fill(shared_, Checked{});
    in_r14_ = 0;
}

Label& BlockCompiler::slow_path() {
    if (slow_ == nullptr) {
        slow_ = &late_.make<Label>();
        resume_ = &late_.make<Resumption>();
        later([this, site = site_, slow = slow_, resume = resume_, vectors = vectors_loaded_,
               x87 = x87_loaded_, borrowed = borrowed_, record = record_] {
            a.L(*slow);
            emit_return_flag(borrowed, false);
            emit_record(record);
            leave_map();
            a.address(a.r14, Relocation::Kind::site, site);
            a.call(vectors && !x87 ? stubs_.interpret_with_vectors : stubs_.interpret);
            if (x87) {
                call_loader(stubs_.load_x87, site->next_rip, site->before + std::size_t{1});
            }
            if (vectors && x87) {
                call_loader(stubs_.load_vectors, site->next_rip, site->before + std::size_t{1});
            }
            enter_map();
            if (resume->in_r14 != 0) {
                a.mov(a.r14, a.state(resume->in_r14));
                a.note_state(resume->in_r14);
            }
            a.jmp(resume->label, Assembler::T_NEAR);
        });
    }
    return *slow_;
}

void BlockCompiler::expect_trap() {
    static_cast<void>(slow_path());
    trap_labels_.emplace_back(a.here(), slow_);
}

// ---- flags that checks borrow ----

bool BlockCompiler::needs_borrowed() const { return flag_effects(rest_.front()).needs.has(borrowed_); }

void BlockCompiler::borrow_flag() {
    if (borrowed_ != Borrowed::nothing) {
        return;
    }
    borrowed_ = flag_to_borrow(rest_);
    if (borrowed_ == Borrowed::cf) {
        a.setc(a.byte[a.rsp + layout.borrowed]);
    } else {
        a.seto(a.byte[a.rsp + layout.borrowed]);
    }
}

void BlockCompiler::return_flag() {
    emit_return_flag(borrowed_, false);
    borrowed_ = Borrowed::nothing;
}

// A sum carries if the flag was 1: what is added makes up for what the flag is now, 0 (or what it was) if
// checks have passed, 1 behind one that has not. Uses R15.
void BlockCompiler::emit_return_flag(Borrowed flag, bool flag_is_set) {
    if (flag == Borrowed::nothing) {
        return;
    }
    a.movzx(a.r15d, a.byte[a.rsp + layout.borrowed]);
    const auto sum = a.state32(flag_is_set ? layout.minus_two : layout.minus_one);
    if (flag == Borrowed::cf) {
        a.adcx(a.r15d, sum);
    } else {
        a.adox(a.r15d, sum);
    }
}

// So that the next check is exact. Uses R15.
void BlockCompiler::emit_clear_flag(Borrowed flag) {
    a.mov(a.r15d, 0);
    if (flag == Borrowed::cf) {
        a.adcx(a.r15d, a.r15d);
    } else {
        a.adox(a.r15d, a.r15d);
    }
}

// ---- guest registers that are elsewhere within the trace ----

void BlockCompiler::enter_map() {
    for (const RegisterMap::Exchange& exchange : map_.exchanges()) {
        const Reg64 host(static_cast<int>(exchange.host));
        a.mov(a.state(layout.reg(exchange.usual)), host);
        a.mov(host, a.state(layout.reg(exchange.now)));
    }
}

void BlockCompiler::leave_map() {
    for (const RegisterMap::Exchange& exchange : map_.exchanges()) {
        const Reg64 host(static_cast<int>(exchange.host));
        a.mov(a.state(layout.reg(exchange.now)), host);
        a.mov(host, a.state(layout.reg(exchange.usual)));
    }
}

// ---- the host's units ----

// A loop looks once, in front of it.
bool BlockCompiler::at_start(const Trace& trace, bool (BlockCompiler::*wants)(const Decoded&) const) const {
    for (const TraceInstruction& instruction : trace.instructions()) {
        if (!instruction.known || (!trace.loops() && instruction.decoded.jump_condition())) {
            return false;
        }
        if ((this->*wants)(instruction.decoded)) {
            return true;
        }
    }
    return false;
}

void BlockCompiler::need_vectors() {
    native_.uses_vectors = true;
    if (!vectors_loaded_) {
        load_unit(layout.vectors_in_memory, stubs_.load_vectors);
        vectors_loaded_ = true;
    }
}

void BlockCompiler::load_unit(int elsewhere, const std::uint8_t* stub) {
    settle_record();
    return_flag(); // it may leave
    Label loaded;
    a.mov(a.ecx, a.state32(elsewhere));
    a.jrcxz(loaded);
    Label *const load = &late_.make<Label>(), *const back = &late_.make<Label>();
    a.jmp(*load, Assembler::T_NEAR);
    a.L(loaded);
    a.L(*back);
    in_r14_ = 0;
    later([this, stub, load, back, rip = rip(), executed = native_.sites.empty() ? 0 : index()] {
        a.L(*load);
        leave_map();
        call_loader(stub, rip, executed);
        enter_map();
        a.jmp(*back, Assembler::T_NEAR);
    });
}

// In front of the instruction at `rip`.
void BlockCompiler::call_loader(const std::uint8_t* stub, std::uint64_t rip, std::size_t executed) {
    a.linear(a.r14, rip);
    if (layout.remaining) {
        a.mov(a.r15, -static_cast<std::int64_t>(executed));
    }
    a.call(stub);
}

} // namespace strata::cpu::translator
