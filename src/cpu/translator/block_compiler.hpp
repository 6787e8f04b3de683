// Translates one trace: the state of the work that its stages share. The stages: block_compiler.cpp goes
// through the instructions, rewrite.cpp copies one with other operands, bit_strings.cpp has
// what that can't, data_access.cpp finds memory, control_flow.cpp leads on, path_flow.cpp along paths,
// stack_instructions.cpp has PUSH and POP, processor_registers.cpp what is neither memory nor a general
// register, x87_instructions.cpp the x87 unit's, system_instructions.cpp is for kernels.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/translator/assembler.hpp"
#include "cpu/translator/effective_address.hpp"
#include "cpu/translator/flags.hpp"
#include "cpu/translator/late_code.hpp"
#include "cpu/translator/native_block.hpp"
#include "cpu/translator/sharing.hpp"
#include "cpu/translator/stubs.hpp"
#include "cpu/x86/model.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

namespace strata::cpu::translator {

// A host instruction that may trap for a guest's reason, and where the interpreter takes over then.
struct Trap {
    const std::uint8_t* instruction;
    const std::uint8_t* handler;
};

class BlockCompiler {
public:
    // `host` is what this processor can, `smap` whether CR4 has that on.
    BlockCompiler(Assembler& assembler, const Stubs& stubs, Regions& regions, const x86::Model& host,
                  bool smap, NativeBlock& native)
        : a(assembler), layout(assembler.layout()), stubs_(stubs), regions_(regions), host_(host),
          view_(native.view), smap_(smap), native_(native) {}

    void compile(const Trace& trace);

    // Addresses of instructions for whose memory a region is of no use; outlives compile().
    void look_in_tlb_for(const std::unordered_set<std::uint64_t>& scattered) { scattered_ = &scattered; }

    [[nodiscard]] std::span<const Trap> traps() const { return traps_; }

    // Where each instruction's code begins, and at the end where what is seldom run does.
    [[nodiscard]] std::span<const std::uint8_t* const> starts() const { return starts_; }

private:
    // ---- instructions ----
    void instruction(const TraceInstruction& instruction);
    void translate(const TraceInstruction& instruction);
    [[nodiscard]] bool control_transfer(const Decoded& decoded);
    [[nodiscard]] bool stack_instruction(const Decoded& decoded);

    void interpret() { interpret(stubs_.interpret); } // leave it to the interpreter

    void interpret(const std::uint8_t* stub);
    // What carries out an instruction that is not translated.
    [[nodiscard]] const std::uint8_t* stub_for(const Decoded& decoded) const;
    [[nodiscard]] bool copy(const Decoded& decoded); // rewrite.cpp
    [[nodiscard]] std::optional<std::size_t> operand_in_place(const Decoded& decoded,
                                                              const ZydisEncoderRequest& request) const;
    [[nodiscard]] bool copyable(const Decoded& decoded) const;
    [[nodiscard]] bool wants_vectors(const Decoded& decoded) const;
    [[nodiscard]] bool bit_string(const Decoded& decoded); // bit_strings.cpp
    [[nodiscard]] bool exchange_pair(const Decoded& decoded);
    void lea(const Decoded& decoded);
    void push_from_memory(const Decoded& decoded);
    void leave_frame();
    // Has the instruction interpreted if 32-bit code does not reach all by its segment. False: no need.
    bool check_segment(const EffectiveAddress& address);
    void load_word(const Xbyak::Reg64& to, const Xbyak::RegExp& from);
    void store_word(const Xbyak::RegExp& to, const Xbyak::Reg64& from);

    [[nodiscard]] EffectiveAddress on_stack(std::int64_t displacement) const {
        return translator::on_stack(native_.narrow, displacement);
    }

    // ---- memory (data_access.cpp) ----
    enum class Access : std::uint8_t { read, write };
    void put_address(const Xbyak::Reg64& to, const EffectiveAddress& address);
    void put_element_address(const Xbyak::Reg64& to, const EffectiveAddress& address);
    [[nodiscard]] std::optional<Xbyak::RegExp> simple(const EffectiveAddress& address) const;
    // The operand's host address, of registers; on a miss the interpreter carries out the instruction. Uses
    // rCX, R14 and R15, of which R15 is free afterwards.
    [[nodiscard]] Xbyak::RegExp look_up(const EffectiveAddress& address, unsigned size, Access access);
    [[nodiscard]] Xbyak::RegExp look_up_in_tlb(const EffectiveAddress& address, unsigned size, Access access);
    [[nodiscard]] Xbyak::RegExp check_in_tlb(const EffectiveAddress& address, const SharedAccess& access);
    // To `hit`, where R14 is the index of the bytes from address + low on, if the TLB has them.
    void search_tlb(const EffectiveAddress& address, std::int64_t low, std::uint64_t size, bool writes,
                    Label& hit);

    // Whether the current instruction finds its memory in another page each time.
    [[nodiscard]] bool scattered() const { return scattered_ != nullptr && scattered_->contains(rip()); }

    [[nodiscard]] RegionUse* region_for(unsigned size, bool writes);
    [[nodiscard]] RegionUse* new_region(unsigned size, bool writes);
    // Checks the use's bytes from address + low on: R14 is the addend. `failed` emits what follows if neither
    // the region nor the TLB has them, and may go on at its label.
    template <class Failed>
    void check_region(const EffectiveAddress& address, std::int64_t low, const RegionUse& use, Failed failed);

    // A group of accesses that has been checked.
    struct Checked {
        const RegionUse* use = nullptr; // null: not checked yet, or found in the TLB and kept as a pointer
        int pointer = 0;                // where the host address of `offset` is kept; 0: nowhere
        std::uint64_t offset = 0;
    };

    [[nodiscard]] Xbyak::RegExp reach(const Checked& group, const EffectiveAddress& address,
                                      std::uint64_t offset);
    void keep_pointer(Checked& group, std::uint64_t offset);
    void put_in_r14(int state);
    static int addend_of(const RegionUse& use);
    [[nodiscard]] Xbyak::RegExp with_addend(const EffectiveAddress& address) const;
    // The host's next instruction accesses memory, and may trap.
    void expect_trap();

    // ---- flags that checks borrow ----
    void borrow_flag();
    void return_flag();
    void emit_return_flag(Borrowed flag, bool flag_is_set);
    void emit_clear_flag(Borrowed flag);
    [[nodiscard]] bool needs_borrowed() const;

    // ---- of the system (system_instructions.cpp) ----
    [[nodiscard]] bool system_instruction(const Decoded& decoded);
    void clear_bits(int state, int kept_bits);
    void clear_interrupt_flag();
    [[nodiscard]] bool set_interrupt_flag();
    [[nodiscard]] bool switch_smap(interpreter::DataView to);
    void swap_gs();
    void push_flags();
    void pop_flags();

    // ---- of what else the processor has (processor_registers.cpp) ----
    [[nodiscard]] bool processor_register(const Decoded& decoded);
    [[nodiscard]] bool read_selector(const Decoded& decoded);
    [[nodiscard]] bool read_control_register(const Decoded& decoded);
    void interpret_unless_zero(int state);
    [[nodiscard]] bool read_base(const Decoded& decoded, unsigned segment);
    [[nodiscard]] bool write_base(const Decoded& decoded, unsigned segment);
    void set_direction(bool down);
    [[nodiscard]] bool read_time_stamp(bool with_id);
    void load_from_state(unsigned guest, unsigned bits, int state);

    // ---- instructions are counted (counting.cpp) ----
    void look_at_time();
    void count(std::size_t instructions);

    // With the current instruction.
    [[nodiscard]] std::size_t executed() const { return native_.sites.size(); }

    // ---- guest registers that are elsewhere within the trace ----
    void enter_map();
    void leave_map();

    // ---- the host's units, loaded with the guest's registers ----
    void need_vectors();
    void need_x87();
    // Calls the stub, which may leave, unless that word of the state is 0.
    void load_unit(int elsewhere, const std::uint8_t* stub);
    void call_loader(const std::uint8_t* stub, std::uint64_t rip, std::size_t executed);
    // Whether that is wanted whatever way the trace takes.
    [[nodiscard]] bool at_start(const Trace& trace, bool (BlockCompiler::*wants)(const Decoded&) const) const;

    // ---- x87 (x87_instructions.cpp) ----
    // The last instructions that FIP, FOP and FDP tell of, as far as that is not stored yet.
    struct X87Record {
        static constexpr int no_operand = -1;
        const Site* last = nullptr;
        EffectiveAddress operand;
        int segment = no_operand; // of the operand

        [[nodiscard]] bool is_settled() const { return last == nullptr && segment == no_operand; }
    };

    [[nodiscard]] bool x87_instruction(const Decoded& decoded);
    [[nodiscard]] bool is_x87(const Decoded& decoded) const;
    [[nodiscard]] bool wants_x87(const Decoded& decoded) const;
    void escape(const Decoded& decoded);
    void escape(const Decoded& decoded, const Xbyak::RegExp& host);
    void load_control_word(const Xbyak::RegExp& host);
    void settle_record();
    void settle_record_for(const TraceInstruction& instruction);
    void emit_record(const X87Record& record);

    // ---- leading on (control_flow.cpp) ----
    std::uint8_t* compare_page(std::uint64_t linear, std::uint32_t id, Label& same);
    void emit_entry();
    void look_at_second_page(std::uint32_t id);
    [[nodiscard]] bool goes_round(std::uint64_t target) const;
    void jump_to(std::uint64_t target);
    void go_round();
    [[nodiscard]] Label& head();
    void end_jump(std::uint64_t target);
    void conditional_jump(unsigned condition, std::uint64_t taken);
    void leave_if(unsigned condition, std::uint64_t taken);
    void call_to(std::uint64_t target);
    void return_from(unsigned release);
    void indirect(const Decoded& decoded, bool call);
    [[nodiscard]] static bool near_target(const Decoded& decoded);

    // Bytes of what is pushed.
    [[nodiscard]] int word() const { return native_.narrow ? 4 : 8; }

    void push_constant(std::uint64_t value);
    void push_return();
    void poll_now();
    void find_target(Label& miss);

    [[nodiscard]] std::size_t index() const { return native_.sites.size() - 1; } // of the instruction

    Link& make_link(std::uint64_t target);
    void emit_link(std::uint64_t target, std::size_t executed);
    void emit_link_here(Link& link, std::size_t executed);
    void exit_by(Link& link);

    [[nodiscard]] std::uint64_t rip() const { return rest_.front().rip; }

    [[nodiscard]] std::uint64_t next_rip() const { return rest_.front().next_rip(); }

    // ---- along a path (path_flow.cpp) ----
    // Where an indirect branch went when the path was recorded; empty: that it ends the trace.
    [[nodiscard]] std::optional<std::uint64_t> recorded_target() const;
    void expect(std::uint64_t target);
    void lead_on(std::uint64_t target);
    void enter_page();

    // Whether the trace goes on at `rip`.
    [[nodiscard]] bool followed_by(std::uint64_t rip) const {
        return rest_.size() > 1 && rest_[1].rip == rip;
    }

    // Code that is seldom run goes behind the block.
    template <class Emit>
    void later(Emit emit) {
        late_.add(std::move(emit));
    }

    // Where the interpreter carries out the current instruction; translated code goes on behind it.
    Label& slow_path();
    void leave_in_front();

    Assembler& a;
    const StateLayout& layout;
    const Stubs& stubs_;
    Regions& regions_;
    const x86::Model& host_;
    interpreter::DataView view_;
    bool smap_;
    const std::unordered_set<std::uint64_t>* scattered_ = nullptr;
    NativeBlock& native_;
    RegisterMap map_;
    std::span<const TraceInstruction> rest_; // from the current instruction on
    Site* site_ = nullptr;                   // the current instruction's
    bool ended_ = false;                     // nothing can follow
    bool vectors_loaded_ = false, x87_loaded_ = false;
    X87Record record_;
    Borrowed borrowed_ = Borrowed::nothing; // its value is in NativeState::borrowed
    Sharing sharing_;
    std::vector<Checked> shared_;             // of the groups of sharing_
    unsigned accesses_ = 0;                   // that the current instruction has made
    std::size_t round_ = 0;                   // of the trace
    bool along_path_ = false, loops_ = false; // likewise
    bool polled_ = false;                     // on the path, since it began

    // An access within a round: its instruction, which of that one's it is, what it covers and how.
    using AccessPlace = std::tuple<std::size_t, unsigned, unsigned, bool>;
    std::map<AccessPlace, RegionUse*> region_of_; // if it repeats_
    bool repeats_ = false;                        // some rounds
    std::size_t pointers_ = 0;                    // how many are kept
    int in_r14_ = 0; // what of the state R14 holds: an addend or a pointer; 0: neither
    // Where a round begins, by what is loaded.
    Label head_, head_with_vectors_, head_with_all_;
    bool vectors_at_head_ = false, x87_at_head_ = false; // of the last one
    LateCode late_;

    // Where translated code goes on behind the slow path, and what R14 holds there.
    struct Resumption {
        Label label;
        int in_r14 = 0;
    };

    Label* slow_ = nullptr; // of the current instruction, once it needs them
    Resumption* resume_ = nullptr;
    std::vector<std::pair<const std::uint8_t*, const Label*>> trap_labels_;
    std::vector<Trap> traps_;
    std::vector<const std::uint8_t*> starts_;
};

} // namespace strata::cpu::translator
