// Guest-physical memory: RAM, with a dirty log, and notice of writes to code pages.
#pragma once

#include "base/error.hpp"
#include "base/large_pages.hpp"
#include "base/zeroed_array.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace strata::memory {

using GuestPhysical = std::uint64_t; // a guest-physical address, in bytes

inline constexpr unsigned page_shift = 12;
inline constexpr std::uint64_t page_size = 1 << page_shift;

// Told when someone other than the engine writes to a page that the engine has marked as code.
class CodeObserver {
public:
    virtual ~CodeObserver() = default;
    // Any thread. [address, address + size) lies within one page.
    virtual void code_written(GuestPhysical address, std::uint64_t size) = 0;
};

// Told of every write that goes through GuestMemory, whosever it is: for engines that must know what devices
// write.
class WriteObserver {
public:
    virtual ~WriteObserver() = default;
    // Any thread, after the write.
    virtual void memory_written(GuestPhysical address, std::uint64_t size) = 0;
};

// The RAM of one machine. Slots are laid out once, before any vCPU runs, and never move; so look-ups take no
// lock. The contents are shared between vCPU threads and devices as on a real machine, without further order
// than the host's.
class GuestMemory {
public:
    struct Slot {
        GuestPhysical base;
        std::uint64_t size; // a multiple of page_size
        std::byte* host;
        bool writable; // by the guest; false for ROM
    };

    // RAM of `size` bytes (a multiple of the page size): below `low_limit` from address 0, the rest from 4
    // GiB.
    static Result<std::unique_ptr<GuestMemory>> create(std::uint64_t size,
                                                       GuestPhysical low_limit = 0xC000'0000);
    ~GuestMemory() = default;
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    [[nodiscard]] std::uint64_t size() const { return pages_.size(); }

    [[nodiscard]] std::span<const Slot> slots() const { return slots_; }

    // The slot that holds `address`, or null.
    [[nodiscard]] const Slot* find(GuestPhysical address) const {
        for (const Slot& slot : slots_) {
            if (address - slot.base < slot.size) {
                return &slot;
            }
        }
        return nullptr;
    }

    // The host's view of [address, address + size), if all of it is RAM of one slot; else null.
    [[nodiscard]] std::byte* host(GuestPhysical address, std::uint64_t size) const {
        const Slot* slot = find(address);
        if (slot == nullptr || size > slot->size - (address - slot->base)) {
            return nullptr;
        }
        return slot->host + (address - slot->base);
    }

    // Copies for devices and loaders. False, with nothing copied, if any part is not RAM. write() marks dirty
    // and tells the code observer.
    [[nodiscard]] bool read(GuestPhysical address, void* to, std::uint64_t size) const;
    [[nodiscard]] bool write(GuestPhysical address, const void* from, std::uint64_t size);
    // For writes made directly through host(): call after them.
    void written(GuestPhysical address, std::uint64_t size);

    // The dirty log: one bit a page, set on every write, from any thread.
    void mark_dirty(GuestPhysical address) {
        const auto page = page_index(address);
        auto& word = dirty_[page / 64];
        const std::uint64_t mask = std::uint64_t{1} << (page % 64);
        if ((word.load(std::memory_order_relaxed) & mask) == 0) {
            word.fetch_or(mask, std::memory_order_relaxed);
        }
    }

    [[nodiscard]] bool is_dirty(GuestPhysical address) const {
        const auto page = page_index(address);
        return (dirty_[page / 64].load(std::memory_order_relaxed) >> (page % 64)) & 1;
    }

    // The guest-physical page addresses written since the last call, in order; clears the log. Engines must
    // drop their write translations first (cpu::Signals::flush_tlb), or later writes go unseen.
    [[nodiscard]] std::vector<GuestPhysical> take_dirty();
    // The same, but the log stays.
    [[nodiscard]] std::vector<GuestPhysical> dirty() const;

    // Engines mark the pages whose instructions they cache. Any thread.
    void set_code_observer(CodeObserver* observer) { observer_ = observer; }

    // While no vCPU runs.
    void set_write_observer(WriteObserver* observer) { write_observer_ = observer; }

    void set_code(GuestPhysical address, bool code) {
        code_[page_index(address)].store(code, std::memory_order_release);
    }

    [[nodiscard]] bool is_code(GuestPhysical address) const {
        return code_[page_index(address)].load(std::memory_order_acquire);
    }

    // A dense number for the page of a RAM address, from 0; the address must be RAM.
    [[nodiscard]] std::uint64_t page_index(GuestPhysical address) const {
        const Slot* slot = find(address);
        return static_cast<std::uint64_t>(slot->host - pages_.data() +
                                          static_cast<std::ptrdiff_t>(address - slot->base)) >>
               page_shift;
    }

private:
    void add_pages(std::vector<GuestPhysical>& pages, std::uint64_t word, std::uint64_t dirty) const;

    GuestMemory(LargePages pages, GuestPhysical low_limit);

    LargePages pages_;
    std::vector<Slot> slots_;
    ZeroedArray<std::atomic<std::uint64_t>> dirty_; // a bit a page
    ZeroedArray<std::atomic<bool>> code_;
    CodeObserver* observer_ = nullptr;
    WriteObserver* write_observer_ = nullptr;
};

} // namespace strata::memory
