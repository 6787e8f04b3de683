#include "cpu/interpreter/blocks.hpp"

#include <algorithm>
#include <new>
#include <type_traits>
#include <utility>

namespace strata::cpu::interpreter {

static_assert(std::is_trivially_destructible_v<Block> && std::is_trivially_copyable_v<Insn>);

std::byte* BlockCache::allocate(std::size_t size) {
    if (chunks_.empty() || chunk_size - chunks_.back().used < size) {
        chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(chunk_size)});
    }
    Chunk& chunk = chunks_.back();
    return chunk.memory.get() + std::exchange(chunk.used, chunk.used + size);
}

template <class Act>
void BlockCache::for_each_block(const Chunk& chunk, Act act) {
    for (std::size_t at = 0; at < chunk.used;) {
        auto& block = *std::launder(reinterpret_cast<Block*>(chunk.memory.get() + at));
        at += block.size;
        act(block);
    }
}

Block& BlockCache::create(std::span<const Insn> insns) {
    static_assert(sizeof(Block) % alignof(Insn) == 0);
    const std::size_t size = (sizeof(Block) + insns.size_bytes() + 63) & ~std::size_t{63};
    std::byte* memory = allocate(size);
    auto* copies = reinterpret_cast<Insn*>(memory + sizeof(Block));
    std::uninitialized_copy(insns.begin(), insns.end(), copies);
    auto* block = new (memory) Block;
    block->insns = copies;
    block->count = static_cast<std::uint32_t>(insns.size());
    block->size = static_cast<std::uint32_t>(size);
    return *block;
}

void BlockCache::insert(Block& block, std::uint64_t key) {
    block.key = key;
    Block*& head = buckets_[bucket(key)];
    block.next = head;
    head = &block;
    pages_[(key >> CodeMode::key_bits) & ~(memory::page_size - 1)].push_back(&block);
    if (block.second_page != Block::dead) {
        pages_[block.second_page].push_back(&block);
    }
}

void BlockCache::kill(Block& block) {
    if (block.key == Block::dead) {
        return;
    }
    Block** link = &buckets_[bucket(block.key)];
    while (*link != &block) {
        link = &(*link)->next;
    }
    *link = block.next;
    block.key = Block::dead;
    block.generation = 0; // no link enters it any more
    if (block.native != nullptr || block.watched) {
        accelerator_->discard(block);
    }
}

bool BlockCache::invalidate(memory::GuestPhysical page, std::uint64_t granules) {
    const auto found = pages_.find(page);
    if (found == pages_.end()) {
        return false;
    }
    bool any = false;
    std::erase_if(found->second, [&](Block* block) {
        const bool first =
            block->key >> CodeMode::key_bits >> memory::page_shift == page >> memory::page_shift;
        const std::uint64_t covered =
            first ? block->granules : 1; // a crossing instruction's end is in granule 0
        if (block->key != Block::dead && (covered & granules) != 0) {
            kill(*block);
            any = true;
        }
        return block->key == Block::dead;
    });
    if (found->second.empty()) {
        pages_.erase(found);
    }
    return any;
}

void BlockCache::invalidate_all() {
    for (Block*& head : buckets_) {
        while (head != nullptr) {
            kill(*head);
        }
    }
    pages_.clear();
}

void BlockCache::make_room() {
    if (chunks_.size() < most_chunks_ || chunk_size - chunks_.back().used >= most_bytes_of_block) {
        return;
    }
    // Some at once: finding what leads to them means a look at all.
    const auto count = static_cast<std::ptrdiff_t>(std::max<std::size_t>(most_chunks_ / 4, 1));
    std::vector<Chunk> oldest(std::move_iterator(chunks_.begin()),
                              std::move_iterator(chunks_.begin() + count));
    chunks_.erase(chunks_.begin(), chunks_.begin() + count);
    for (const Chunk& chunk : oldest) {
        for_each_block(chunk, [this](Block& block) { kill(block); });
    }
    const auto is_dead = [](const Block* block) { return block->key == Block::dead; };
    for (const Chunk& chunk : chunks_) {
        for_each_block(chunk, [&](Block& block) {
            for (Block*& link : block.links) {
                link = link == nullptr || is_dead(link) ? nullptr : link;
            }
        });
    }
    for (auto& [page, blocks] : pages_) {
        std::erase_if(blocks, is_dead);
    }
    std::erase_if(pages_, [](const auto& item) { return item.second.empty(); });
    ++epoch_;
}

} // namespace strata::cpu::interpreter
