#include "cpu/translator/block_compiler.hpp"

namespace strata::cpu::translator {

using Xbyak::Label;
using Xbyak::Reg64;

namespace {

bool does_nothing(const ZydisDecodedInstruction& info) {
    return info.meta.category == ZYDIS_CATEGORY_NOP || info.meta.category == ZYDIS_CATEGORY_WIDENOP ||
           info.meta.category == ZYDIS_CATEGORY_PREFETCH || info.mnemonic == ZYDIS_MNEMONIC_ENDBR64 ||
           info.mnemonic == ZYDIS_MNEMONIC_ENDBR32;
}

} // namespace

bool BlockCompiler::compile(const interpreter::Block& block, std::span<const std::uint8_t> bytes) {
    native_.sites.resize(block.count);
    std::uint64_t rip = native_.linear;
    for (std::uint32_t i = 0; i < block.count; ++i) {
        const interpreter::Insn& insn = block.insns[i];
        Decoded decoded;
        if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder_, bytes.data(), bytes.size(), &decoded.info,
                                               decoded.operands.data())) ||
            decoded.info.length != insn.length) {
            return false;
        }
        bytes = bytes.subspan(insn.length);
        rip += insn.length;
        site_ = &native_.sites[i];
        *site_ = {&insn, rip, false};
        slow_ = resume_ = nullptr;
        instruction(decoded);
        if (resume_) {
            a.L(*resume_);
        }
    }
    if (!ended_) {
        jump_to(rip);
    }
    for (std::size_t i = 0; i < later_.size(); ++i) { // each may add more
        const auto emit = std::move(later_[i]);
        emit();
    }
    for (const auto& [instruction, label] : trap_labels_) {
        traps_.push_back({instruction, label->getAddress()});
    }
    return true;
}

void BlockCompiler::instruction(const Decoded& decoded) {
    if (does_nothing(decoded.info) || control_transfer(decoded) || stack_instruction(decoded)) {
        return;
    }
    if (decoded.info.mnemonic == ZYDIS_MNEMONIC_LEA && decoded.info.address_width == 64) {
        lea(decoded);
    } else if (!copy(decoded)) {
        interpret();
    }
}

void BlockCompiler::interpret() {
    a.mov(a.r14, reinterpret_cast<std::uintptr_t>(site_));
    a.call(stubs_.interpret);
    vectors_loaded_ = false;
}

Label& BlockCompiler::slow_path() {
    if (!slow_) {
        slow_ = std::make_shared<Label>();
        resume_ = std::make_shared<Label>();
        later([this, site = site_, slow = slow_, resume = resume_, vectors = vectors_loaded_] {
            a.L(*slow);
            a.mov(a.r14, reinterpret_cast<std::uintptr_t>(site));
            a.call(vectors ? stubs_.interpret_with_vectors : stubs_.interpret);
            a.jmp(*resume, Assembler::T_NEAR);
        });
    }
    return *slow_;
}

void BlockCompiler::need_vectors() {
    native_.uses_vectors = true;
    if (vectors_loaded_) {
        return;
    }
    Label loaded;
    a.mov(a.ecx, a.state32(layout.vectors_in_memory));
    a.jrcxz(loaded);
    a.mov(a.r14, reinterpret_cast<std::uintptr_t>(site_));
    a.call(stubs_.load_vectors);
    a.L(loaded);
    vectors_loaded_ = true;
}

} // namespace strata::cpu::translator
