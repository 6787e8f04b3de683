// When a block is translated, and how: the traces that belong to it.
#include "cpu/interpreter/decoder.hpp"
#include "cpu/interpreter/shared.hpp"
#include "cpu/translator/block_compiler.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/translator/host_check.hpp"
#include "cpu/translator/translator.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

namespace strata::cpu::translator {

using interpreter::Block;
using interpreter::CodeMode;

NativeBlock* Translator::native_of(Block& block, bool plain) {
    if (block.key == Block::dead || !translates()) {
        return nullptr;
    }
    for (auto* native = static_cast<NativeBlock*>(block.native); native != nullptr; native = native->next) {
        if (native->linear == cpu_.rip() && native->plain == plain) {
            let_in(*native);
            return native;
        }
    }
    if (!plain && waits_for_path(block)) {
        return nullptr;
    }
    if (!plain && block.runs < policy_.runs_before_translation) {
        ++block.runs;
        if (block.runs < policy_.runs_before_translation) {
            return block.runs == policy_.runs_before_reuse && block.second_page == Block::dead
                       ? reuse(block, plain)
                       : nullptr;
        }
    }
    NativeBlock* const made =
        block.second_page == Block::dead ? translate(block, plain) : translate_crossing(block, plain);
    if (made != nullptr) {
        let_in(*made);
    }
    return made;
}

// The block has just been found: its pages are where its translation has them.
void Translator::let_in(const NativeBlock& native) {
    cpu_.tlb_.set_fetch_id(native.user, native.linear, native.page_id);
    if (native.second_page_id != 0) {
        cpu_.tlb_.set_fetch_id(native.user, native.linear + memory::page_size, native.second_page_id);
    }
}

// The trace that begins with the block; it goes when the block goes, so that takes all of its granules.
NativeBlock* Translator::translate(Block& block, bool plain) {
    if (code_.left() < most_bytes_of_trace) {
        make_room();
    }
    const memory::GuestPhysical page = page_of(block);
    const std::byte* host = cpu_.shared_.memory().host(page, memory::page_size);
    if (host == nullptr) {
        return nullptr;
    }
    if (NativeBlock* known = reuse(block, plain)) {
        return known;
    }
    std::array<std::uint8_t, memory::page_size> bytes;
    std::memcpy(bytes.data(), host, bytes.size());
    trace_.find(*cpu_.decoder_, cpu_.code_mode_, bytes, cpu_.rip(), unrolls(block, plain));
    block.granules |= trace_.granules();
    cpu_.mark_code(page, block.granules);
    if (trace_.instructions().empty() || block.key == Block::dead || !trace_.unchanged(bytes, host)) {
        return nullptr;
    }
    auto native = new_native(page, cpu_.rip(), cpu_.code_mode_);
    native->plain = plain;
    return compile(std::move(native), block, bytes);
}

// The one instruction of a block that reaches into the next page.
NativeBlock* Translator::translate_crossing(Block& block, bool plain) {
    if (code_.left() < most_bytes_of_trace) {
        make_room();
    }
    const std::uint64_t linear = cpu_.rip();
    const std::size_t here = memory::page_size - linear % memory::page_size;
    const std::byte* first = cpu_.shared_.memory().host(page_of(block), memory::page_size);
    const std::byte* second = cpu_.shared_.memory().host(block.second_page, memory::page_size);
    std::array<std::uint8_t, interpreter::max_instruction_length> buffer{};
    const auto bytes = std::span(buffer).first(block.bytes);
    if (first == nullptr || second == nullptr || linear + block.bytes < linear || here >= bytes.size() ||
        (cpu_.code_mode_.size != CodeMode::Size::bits64 && linear + block.bytes > end_of_narrow)) {
        return nullptr;
    }
    memory::copy_from_guest(bytes.data(), first + linear % memory::page_size, here);
    memory::copy_from_guest(bytes.data() + here, second, bytes.size() - here);
    cpu_.take_code_notices(); // of what was written before it was read
    if (block.key == Block::dead) {
        return nullptr;
    }
    const std::uint32_t second_id = page_id(linear + memory::page_size, block.second_page);
    trace_.cross(*cpu_.decoder_, cpu_.code_mode_, bytes, linear, second_id);
    if (trace_.instructions().empty()) {
        return nullptr;
    }
    auto native = new_native(page_of(block), linear, cpu_.code_mode_);
    native->plain = plain;
    native->second_page_id = second_id;
    return compile(std::move(native), block, {});
}

NativeBlock* Translator::compile(std::unique_ptr<NativeBlock> native, Block& block,
                                 std::span<const std::uint8_t> page) {
    Assembler assembler(layout_, code_.next(), code_.left());
    notes_.clear();
    assembler.note_in(store_ == nullptr || !trace_.of_one_page() ? nullptr : &notes_);
    BlockCompiler compiler(assembler, stubs_, frame_.native.regions, host_model(), smap_, *native);
    if (trace_.along_path()) {
        compiler.look_in_tlb_for(scattered_);
    }
    try {
        compiler.compile(trace_);
    } catch (const Xbyak::Error&) { // what it should encode is not to be encoded: the interpreter's, then
        give_back_regions(*native);
        block.runs = 0; // it is not tried again at once
        return nullptr;
    }
    if (policy_.checks) {
        check(*native, compiler.traps(), assembler.here());
    }
    const std::span<const std::uint8_t> code(code_.next(), assembler.getSize());
    if (store_ != nullptr && trace_.of_one_page()) {
        offer({*native, trace_, page, code, compiler.traps(), notes_, stubs_, layout_}, block);
    }
    statistics_.add(Statistics::traces);
    statistics_.add(Statistics::trace_instructions, trace_.instructions().size());
    statistics_.add(Statistics::code_bytes, code.size());
    return &keep(std::move(native), block, code.size(), compiler.traps());
}

memory::GuestPhysical Translator::page_of(const Block& block) {
    return block.key >> CodeMode::key_bits & ~(memory::page_size - 1);
}

bool Translator::unrolls(const Block& block, bool plain) const {
    return !plain && (policy_.unrolls_at_once || block.runs == busy);
}

std::unique_ptr<NativeBlock> Translator::new_native(memory::GuestPhysical page, std::uint64_t linear,
                                                    const CodeMode& mode) {
    auto native = std::make_unique<NativeBlock>();
    native->linear = linear;
    native->user = mode.user;
    native->narrow = mode.size == CodeMode::Size::bits32;
    native->view = mode.data;
    native->page_id = page_id(native->linear, page);
    return native;
}

// Its code, of `size` bytes, is next in the memory for code.
NativeBlock& Translator::keep(std::unique_ptr<NativeBlock> native, Block& block, std::size_t size,
                              std::span<const Trap> traps) {
    code_.take(size);
    add_traps(traps);
    native->block = &block;
    native->next = static_cast<NativeBlock*>(block.native);
    block.native = native.get();
    auto& blocks = sections_[code_.section()].blocks;
    blocks.push_back(std::move(native));
    return *blocks.back();
}

void Translator::check(const NativeBlock& native, std::span<const Trap> traps,
                       const std::uint8_t* end) const {
    if (const auto escape = find_escape({layout_, stubs_, native, trace_.instructions(), traps, end})) {
        fmt::print(stderr, "strata: the translation of {:#x} is not safe: {}\n", native.linear, *escape);
        for (const TraceInstruction& instruction : trace_.instructions()) {
            fmt::print(stderr, "  {:#x}: {:02x}\n", instruction.rip,
                       fmt::join(std::span(instruction.bytes).first(instruction.insn.length), " "));
        }
        std::abort();
    }
}

std::uint32_t Translator::page_id(std::uint64_t linear, memory::GuestPhysical physical) {
    const auto [place, inserted] = page_ids_.try_emplace(
        {linear >> memory::page_shift, physical >> memory::page_shift}, last_page_id_ + 1);
    last_page_id_ += inserted;
    return place->second;
}

void Translator::add_traps(std::span<const Trap> traps) {
    auto& known = sections_[code_.section()].traps;
    const auto before = static_cast<std::ptrdiff_t>(known.size());
    for (const Trap& trap : traps) {
        known.emplace_back(code_.executable(trap.instruction), code_.executable(trap.handler));
    }
    std::sort(known.begin() + before, known.end());
}

} // namespace strata::cpu::translator
