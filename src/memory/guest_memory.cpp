#include "memory/guest_memory.hpp"

#include "base/bits.hpp"
#include "memory/racing_bytes.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

namespace strata::memory {

Result<std::unique_ptr<GuestMemory>> GuestMemory::create(std::uint64_t size, GuestPhysical low_limit) {
    if (size == 0 || size % page_size != 0) {
        return fail("guest memory must be a positive multiple of 4 KiB");
    }
    LargePages pages(size, "guest-ram");
    if (!pages) {
        return fail_errno("map", "guest memory", errno, "ask for less with --memory");
    }
    return std::unique_ptr<GuestMemory>(new GuestMemory(std::move(pages), low_limit));
}

GuestMemory::GuestMemory(LargePages pages, GuestPhysical low_limit)
    : pages_(std::move(pages)), dirty_((size() / page_size + 63) / 64), code_(size() / page_size) {
    const std::uint64_t low = std::min<std::uint64_t>(size(), low_limit);
    slots_.push_back({0, low, pages_.data(), true});
    if (size() > low) {
        slots_.push_back({std::uint64_t{1} << 32, size() - low, pages_.data() + low, true});
    }
}

bool GuestMemory::read(GuestPhysical address, void* to, std::uint64_t size) const {
    const std::byte* from = host(address, size);
    if (from == nullptr) {
        return false;
    }
    copy_from_guest(to, from, size);
    return true;
}

bool GuestMemory::write(GuestPhysical address, const void* from, std::uint64_t size) {
    std::byte* to = host(address, size);
    if (to == nullptr) {
        return false;
    }
    copy_to_guest(to, from, size);
    written(address, size);
    return true;
}

void GuestMemory::written(GuestPhysical address, std::uint64_t size) {
    // Whoever caches code marks the page first and reads its bytes then; here the bytes are written first and
    // the mark is read then. So one of the two sees the other.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (write_observer_ != nullptr) [[unlikely]] {
        write_observer_->memory_written(address, size);
    }
    const GuestPhysical end = address + size;
    while (address < end) {
        const std::uint64_t chunk = std::min(end, align_down(address, page_size) + page_size) - address;
        mark_dirty(address);
        if (is_code(address) && observer_ != nullptr) {
            observer_->code_written(address, chunk);
        }
        address += chunk;
    }
}

// The pages that a word of the log stands for, of which `dirty` has the bits.
void GuestMemory::add_pages(std::vector<GuestPhysical>& pages, std::uint64_t word,
                            std::uint64_t dirty) const {
    for (; dirty != 0; dirty &= dirty - 1) {
        const std::uint64_t offset = (word * 64 + static_cast<unsigned>(std::countr_zero(dirty)))
                                     << page_shift;
        const Slot& slot = offset < slots_.front().size ? slots_.front() : slots_.back();
        pages.push_back(slot.base + (pages_.data() + offset - slot.host));
    }
}

std::vector<GuestPhysical> GuestMemory::take_dirty() {
    std::vector<GuestPhysical> pages;
    for (std::uint64_t word = 0; word < ((size() >> page_shift) + 63) / 64; ++word) {
        if (dirty_[word].load(std::memory_order_relaxed) != 0) {
            add_pages(pages, word, dirty_[word].exchange(0, std::memory_order_relaxed));
        }
    }
    return pages;
}

std::vector<GuestPhysical> GuestMemory::dirty() const {
    std::vector<GuestPhysical> pages;
    for (std::uint64_t word = 0; word < ((size() >> page_shift) + 63) / 64; ++word) {
        add_pages(pages, word, dirty_[word].load(std::memory_order_relaxed));
    }
    return pages;
}

} // namespace strata::memory
