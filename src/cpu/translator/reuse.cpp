// Translations that another processor, or an earlier run, has made of the same code: kept and found by
// TraceStore, made good here.
#include "cpu/interpreter/shared.hpp"
#include "cpu/translator/installed_trace.hpp"
#include "cpu/translator/translator.hpp"

#include "memory/racing_bytes.hpp"
#include <algorithm>
#include <array>

namespace strata::cpu::translator {

using interpreter::Block;

TraceKey Translator::key_of(const Block& block, bool plain) const {
    return {.models = models_,
            .offset = static_cast<std::uint16_t>(cpu_.rip() % memory::page_size),
            .mode = static_cast<std::uint16_t>(cpu_.code_mode_.key()),
            .plain = plain ? std::uint8_t{1} : std::uint8_t{0},
            .unrolled = unrolls(block, plain) ? std::uint8_t{1} : std::uint8_t{0},
            .smap = smap_ ? std::uint8_t{1} : std::uint8_t{0},
            .counted = layout_.remaining ? std::uint8_t{1} : std::uint8_t{0}};
}

// What was just compiled, before it is linked to anything.
void Translator::offer(const CompiledTrace::Compiled& compiled, const Block& block) {
    if (auto trace = CompiledTrace::of(key_of(block, compiled.native.plain), block.bytes, compiled)) {
        store_->add(std::move(*trace));
    }
}

// As translate(), without translating. Null: there is none. What is compared is the page as it is when writes
// to it are seen.
NativeBlock* Translator::reuse(Block& block, bool plain) {
    const memory::GuestPhysical page = page_of(block);
    const std::byte* host = store_ == nullptr ? nullptr : cpu_.shared_.memory().host(page, memory::page_size);
    if (host == nullptr) {
        return nullptr;
    }
    const TraceKey key = key_of(block, plain);
    std::array<std::uint8_t, Block::most_instructions * interpreter::max_instruction_length> head;
    memory::copy_from_guest(head.data(), host + key.offset, block.bytes);
    const auto [trace, loaded] = store_->find(key, std::span(head).first(block.bytes), host);
    if (trace == nullptr) {
        return nullptr;
    }
    if (code_.left() < most_bytes_of_trace) {
        make_room();
    }
    block.granules |= trace->granules();
    cpu_.mark_code(page, block.granules);
    const std::span<const std::uint8_t> code = trace->code();
    if (block.key == Block::dead || !trace->made_of(host) || code.size() > code_.left()) {
        return nullptr;
    }
    auto native = new_native(page, cpu_.rip(), cpu_.code_mode_);
    native->plain = plain;
    std::vector<Trap> traps;
    const Installation place{.to = {code_.next(), code.size()},
                             .stubs = stubs_,
                             .layout = layout_,
                             .regions = frame_.native.regions,
                             .decoder = *cpu_.decoder_,
                             .mode = cpu_.code_mode_};
    if (!install(*trace, place, *native, traps) ||
        (policy_.checks && !is_safe(*native, *trace, traps, host))) {
        return nullptr;
    }
    statistics_.add(loaded ? Statistics::traces_loaded : Statistics::traces_reused);
    cpu_.tlb_.set_fetch_id(native->user, native->linear, native->page_id);
    return &keep(std::move(native), block, code.size(), traps);
}

// The process ends if it is not. False: the page has changed meanwhile.
bool Translator::is_safe(const NativeBlock& native, const CompiledTrace& trace, std::span<const Trap> traps,
                         const std::byte* page) {
    std::array<std::uint8_t, memory::page_size> bytes;
    memory::copy_from_guest(bytes.data(), page, bytes.size());
    trace_.find(*cpu_.decoder_, cpu_.code_mode_, bytes, native.linear, trace.header().key.unrolled != 0);
    if (!trace.made_of(reinterpret_cast<const std::byte*>(bytes.data())) ||
        trace_.instructions().size() != native.sites.size()) {
        give_back_regions(native);
        return false;
    }
    check(native, traps, native.entry + trace.code().size());
    return true;
}

} // namespace strata::cpu::translator
