// Translations that are void, and those that make room.
#include "cpu/translator/translator.hpp"

#include <algorithm>

namespace strata::cpu::translator {

using interpreter::Block;

void Translator::drop(NativeBlock& native) {
    while (!native.incoming.empty()) {
        unlink(*native.incoming.back());
    }
    for (Link& link : native.links) {
        unlink(link);
    }
    native.block = nullptr;
}

// Nobody finds it any more; its memory stays.
void Translator::remove(NativeBlock& native) {
    void** link = &native.block->native;
    while (*link != &native) {
        link = reinterpret_cast<void**>(&static_cast<NativeBlock*>(*link)->next);
    }
    *link = native.next;
    for (const Block* block : native.path) {
        const auto [first, last] = paths_.equal_range(block);
        paths_.erase(std::find_if(first, last, [&](const auto& item) { return item.second == &native; }));
    }
    native.path.clear();
    drop(native);
    forget_jumps(native.linear);
}

void Translator::remove_all(Block& block) {
    while (block.native != nullptr) {
        remove(*static_cast<NativeBlock*>(block.native));
        statistics_.add(Statistics::traces_voided);
    }
}

void Translator::discard(Block& block) {
    remove_all(block);
    for (auto through = paths_.find(&block); through != paths_.end(); through = paths_.find(&block)) {
        remove(*through->second);
        statistics_.add(Statistics::traces_voided);
    }
}

void Translator::forget_jumps(std::uint64_t linear) {
    for (JumpCache& jumps : frame_.native.jumps) {
        jumps.remove(linear);
    }
}

// A section of the code's memory is full: the next one, which is the oldest, makes room. What of it is still
// used is soon translated again.
void Translator::make_room() {
    constexpr std::size_t most_page_ids = 1 << 20;
    if (page_ids_.size() > most_page_ids) { // those of pages that are long gone, too
        for (unsigned section = 0; section < CodeMemory::sections; ++section) {
            evict(section);
        }
        page_ids_.clear();
    }
    const unsigned next = (code_.section() + 1) % CodeMemory::sections;
    evict(next);
    code_.enter(next);
}

void Translator::give_back_regions(const NativeBlock& native) {
    for (const RegionUse& use : native.regions) {
        frame_.native.regions.give_back(use);
    }
}

void Translator::evict(unsigned section) {
    for (const auto& native : sections_[section].blocks) {
        if (native->block != nullptr) {
            remove(*native);
            statistics_.add(Statistics::traces_evicted);
        }
        give_back_regions(*native);
    }
    sections_[section] = {};
    ++evictions_;
}

} // namespace strata::cpu::translator
