#include "cpu/interpreter/blocks.hpp"

#include <algorithm>
#include <new>
#include <type_traits>

namespace strata::cpu::interpreter {

static_assert(std::is_trivially_destructible_v<Block> && std::is_trivially_copyable_v<Insn>);

std::byte* BlockCache::allocate(std::size_t size) {
    size = (size + 63) & ~std::size_t{63};
    if (chunk_size - chunk_used_ < size) {
        chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(chunk_size));
        chunk_used_ = 0;
    }
    std::byte* result = chunks_.back().get() + chunk_used_;
    chunk_used_ += size;
    used_ += size;
    return result;
}

Block& BlockCache::create(std::span<const Insn> insns) {
    static_assert(sizeof(Block) % alignof(Insn) == 0);
    std::byte* memory = allocate(sizeof(Block) + insns.size_bytes());
    auto* copies = reinterpret_cast<Insn*>(memory + sizeof(Block));
    std::uninitialized_copy(insns.begin(), insns.end(), copies);
    auto* block = new (memory) Block;
    block->insns = copies;
    block->count = static_cast<std::uint32_t>(insns.size());
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
    if (block.native != nullptr) {
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

void BlockCache::clear() {
    if (accelerator_ != nullptr) {
        accelerator_->discard_all();
    }
    std::ranges::fill(buckets_, nullptr);
    pages_.clear();
    chunks_.clear();
    chunk_used_ = chunk_size;
    used_ = 0;
    ++epoch_;
}

} // namespace strata::cpu::interpreter
