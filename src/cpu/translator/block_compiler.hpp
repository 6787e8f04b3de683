// Translates one block: the state of the work that its stages share. The stages: block_compiler.cpp goes
// through the instructions, rewrite.cpp copies one with other operands, data_access.cpp finds memory,
// control_flow.cpp leads on.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/translator/assembler.hpp"
#include "cpu/translator/native_block.hpp"
#include "cpu/translator/stubs.hpp"
#include "cpu/x86/model.hpp"

#include <Zydis/Zydis.h>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace strata::cpu::translator {

// A guest instruction while it is translated.
struct Decoded {
    ZydisDecodedInstruction info;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;

    [[nodiscard]] std::span<const ZydisDecodedOperand> visible() const {
        return std::span(operands).first(info.operand_count_visible);
    }

    [[nodiscard]] std::span<const ZydisDecodedOperand> all() const {
        return std::span(operands).first(info.operand_count);
    }
};

struct EffectiveAddress;

// Of an explicit memory operand of an instruction that `next_rip` follows.
[[nodiscard]] EffectiveAddress address_of(const ZydisDecodedOperand& operand, std::uint64_t next_rip);
// Whether the operand is one whose address translated code can make.
[[nodiscard]] bool addressable(const ZydisDecodedInstruction& info, const ZydisDecodedOperand& operand);

// A linear address: base + index * scale + displacement + a segment's base. Registers are the guest's.
struct EffectiveAddress {
    static constexpr int none = -1;
    int base = none, index = none;
    unsigned scale = 1;
    std::int64_t displacement = 0; // with no register: the whole address
    int segment = none;            // FS or GS

    [[nodiscard]] bool constant() const { return base == none && index == none && segment == none; }
};

// A host instruction that may trap for a guest's reason, and where the interpreter takes over then.
struct Trap {
    const std::uint8_t* instruction;
    const std::uint8_t* handler;
};

class BlockCompiler {
public:
    // `decoder` decodes as the guest's processor does, `host` is what this one can.
    BlockCompiler(Assembler& assembler, const Stubs& stubs, const ZydisDecoder& decoder,
                  const x86::Model& host, interpreter::DataView view, NativeBlock& native)
        : a(assembler), layout(assembler.layout()), stubs_(stubs), decoder_(decoder), host_(host),
          view_(view), native_(native) {}

    // The block's bytes are those that `block.insns` were decoded from. False: they have changed.
    [[nodiscard]] bool compile(const interpreter::Block& block, std::span<const std::uint8_t> bytes);

    [[nodiscard]] std::span<const Trap> traps() const { return traps_; }

private:
    // ---- instructions ----
    void instruction(const Decoded& decoded);
    [[nodiscard]] bool control_transfer(const Decoded& decoded);
    [[nodiscard]] bool stack_instruction(const Decoded& decoded);
    void interpret();                                // leave it to the interpreter
    [[nodiscard]] bool copy(const Decoded& decoded); // rewrite.cpp
    [[nodiscard]] bool copyable(const Decoded& decoded) const;
    void lea(const Decoded& decoded);
    void leave_frame();

    // ---- memory (data_access.cpp) ----
    enum class Access : std::uint8_t { read, write };
    void put_address(const Xbyak::Reg64& to, const EffectiveAddress& address, std::int64_t extra = 0);
    // Leaves in R14 what, added to the linear address, is the host's; on a miss the interpreter carries out
    // the instruction. Uses rCX, R14, R15; changes no flags.
    void look_up(const EffectiveAddress& address, unsigned size, Access access);
    // As an operand; after look_up().
    [[nodiscard]] Xbyak::RegExp host_address(const EffectiveAddress& address);

    // ---- vectors ----
    void need_vectors();

    // ---- leading on (control_flow.cpp) ----
    void jump_to(std::uint64_t target);
    void conditional_jump(unsigned condition, std::uint64_t taken);
    void call_to(std::uint64_t target);
    void return_from(unsigned release);
    void indirect(const Decoded& decoded, bool call);
    [[nodiscard]] static bool near_target(const Decoded& decoded);
    void push_constant(std::uint64_t value);
    void poll(std::uint64_t target);
    void poll_now();
    void find_target(const Xbyak::Label& miss);
    Link& make_link(std::uint64_t target);
    void emit_link(std::uint64_t target);

    [[nodiscard]] std::uint64_t rip() const { return site_->next_rip - site_->insn->length; }

    [[nodiscard]] std::uint64_t next_rip() const { return site_->next_rip; }

    // Code that is seldom run goes behind the block.
    void later(std::function<void()> emit) { later_.push_back(std::move(emit)); }

    // Where the interpreter carries out the current instruction; translated code goes on behind it.
    Xbyak::Label& slow_path();
    void leave_in_front();

    Assembler& a;
    const StateLayout& layout;
    const Stubs& stubs_;
    const ZydisDecoder& decoder_;
    const x86::Model& host_;
    interpreter::DataView view_;
    NativeBlock& native_;
    Site* site_ = nullptr; // the current instruction's
    bool ended_ = false;   // nothing can follow
    bool vectors_loaded_ = false;
    std::vector<std::function<void()>> later_;
    std::shared_ptr<Xbyak::Label> slow_, resume_; // of the current instruction, once it needs them
    std::vector<std::pair<const std::uint8_t*, std::shared_ptr<Xbyak::Label>>> trap_labels_;
    std::vector<Trap> traps_;
};

} // namespace strata::cpu::translator
