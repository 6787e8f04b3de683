// One processor's predecoded blocks: straight runs of instructions within a page, found by guest-physical
// address and mode. Blocks that lost their validity stay in memory until make_room(), so that a running one
// may void itself.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/interpreter/insn.hpp"
#include "memory/guest_memory.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

namespace strata::cpu::interpreter {

struct Block {
    static constexpr std::uint64_t dead = ~std::uint64_t{0};
    static constexpr std::size_t most_instructions = 64;

    // Where it was last entered, under which generation of the processor's translations: if both still hold,
    // it may be entered again without looking.
    std::uint64_t linear = 0;
    std::uint64_t generation = 0;
    const Insn* insns = nullptr;
    std::uint32_t count = 0;
    std::uint32_t bytes = 0;
    std::uint32_t size = 0;        // of it and its instructions in the cache's memory
    std::array<Block*, 2> links{}; // blocks that followed it
    unsigned oldest_link = 0;
    std::uint64_t key = dead;                 // see BlockCache::key
    std::uint64_t granules = 0;               // of its (first) page
    memory::GuestPhysical second_page = dead; // of a single instruction that crosses pages
    Block* next = nullptr;                    // with the same hash
    std::uint32_t runs = 0;                   // for the accelerator: how often it was met without host code
    void* native = nullptr;                   // the accelerator's
    bool watched = false; // the accelerator is told when it is void, also without `native`
};

// A second way to run blocks: as host code. The processor asks it at each block.
class BlockAccelerator {
public:
    virtual ~BlockAccelerator() = default;

    // Carries out `block`, which RIP is at, and what follows it as long as it can, if it has host code for
    // it. Returns whether it did; then RIP is where it left, faults have been delivered. If that is at a
    // block for which it has none, it may say so, in `next`.
    virtual bool execute(Block& block, Block*& next) = 0;

    // Whether it never runs on into another block: then it is asked also while there are breakpoints.
    [[nodiscard]] virtual bool keeps_to_blocks() const { return false; }

    // `block`, which has native code or is watched, is void; execute() may be running it.
    virtual void discard(Block& block) = 0;
};

class BlockCache {
public:
    void set_accelerator(BlockAccelerator* accelerator) { accelerator_ = accelerator; }

    // More decoded instructions than this and the oldest are decoded anew.
    static constexpr std::size_t usual_bytes = std::size_t{32} << 20;

    void limit(std::size_t bytes) { most_chunks_ = std::max<std::size_t>(bytes / chunk_size, 2); }

    [[nodiscard]] static std::uint64_t key(memory::GuestPhysical address, unsigned mode_key) {
        return address << CodeMode::key_bits | mode_key;
    }

    [[nodiscard]] Block* find(std::uint64_t key) const {
        for (Block* block = buckets_[bucket(key)]; block != nullptr; block = block->next) {
            if (block->key == key) {
                return block;
            }
        }
        return nullptr;
    }

    // A block of copies of `insns`, not yet found by find().
    Block& create(std::span<const Insn> insns);
    // Makes it known under `key`, and to invalidate() by its pages.
    void insert(Block& block, std::uint64_t key);

    // Voids the blocks on `page` that have any of `granules`. Whether there were any.
    bool invalidate(memory::GuestPhysical page, std::uint64_t granules);
    void invalidate_all();
    void kill(Block& block);

    // Before a block is created: room for it. Where there is none, the oldest quarter is freed.
    void make_room();

    // Changes whenever blocks were freed: none that was found before must be used.
    [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

private:
    static constexpr unsigned bucket_bits = 16;
    static constexpr std::size_t chunk_size = 256 << 10;
    static constexpr std::size_t most_bytes_of_block =
        sizeof(Block) + Block::most_instructions * sizeof(Insn) + 63;

    [[nodiscard]] static std::size_t bucket(std::uint64_t key) {
        return (key * 0x9E37'79B9'7F4A'7C15) >> (64 - bucket_bits);
    }

    // Memory for blocks, one behind the other.
    struct Chunk {
        std::unique_ptr<std::byte[]> memory;
        std::size_t used = 0;
    };

    [[nodiscard]] std::byte* allocate(std::size_t size);
    template <class Act>
    static void for_each_block(const Chunk& chunk, Act act);

    std::vector<Block*> buckets_ = std::vector<Block*>(std::size_t{1} << bucket_bits);
    std::unordered_map<memory::GuestPhysical, std::vector<Block*>> pages_;
    std::deque<Chunk> chunks_; // the oldest first
    std::size_t most_chunks_ = usual_bytes / chunk_size;
    std::uint64_t epoch_ = 0;
    BlockAccelerator* accelerator_ = nullptr;
};

} // namespace strata::cpu::interpreter
