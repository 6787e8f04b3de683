#include "memory/guest_memory.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>

namespace strata::memory {

Result<std::unique_ptr<GuestMemory>> GuestMemory::create(std::uint64_t size, GuestPhysical low_limit) {
    if (size == 0 || size % page_size != 0) {
        return fail("guest memory must be a positive multiple of 4 KiB");
    }
    FileDescriptor memfd(memfd_create("guest-ram", MFD_CLOEXEC));
    if (!memfd) {
        return fail_errno("create", "guest memory");
    }
    if (ftruncate(memfd.get(), static_cast<off_t>(size)) != 0) {
        return fail_errno("size", "guest memory", errno, "ask for less with --memory");
    }
    void* mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd.get(), 0);
    if (mapping == MAP_FAILED) {
        return fail_errno("map", "guest memory", errno, "ask for less with --memory");
    }
    return std::unique_ptr<GuestMemory>(
        new GuestMemory(std::move(memfd), static_cast<std::byte*>(mapping), size, low_limit));
}

GuestMemory::GuestMemory(FileDescriptor memfd, std::byte* mapping, std::uint64_t size,
                         GuestPhysical low_limit)
    : memfd_(std::move(memfd)), mapping_(mapping), size_(size), dirty_((size / page_size + 63) / 64),
      code_(size / page_size) {
    const std::uint64_t low = std::min<std::uint64_t>(size, low_limit);
    slots_.push_back({0, low, mapping, true});
    if (size > low) {
        slots_.push_back({std::uint64_t{1} << 32, size - low, mapping + low, true});
    }
}

GuestMemory::~GuestMemory() { munmap(mapping_, size_); }

bool GuestMemory::read(GuestPhysical address, void* to, std::uint64_t size) const {
    const std::byte* from = host(address, size);
    if (from == nullptr) {
        return false;
    }
    std::memcpy(to, from, size);
    return true;
}

bool GuestMemory::write(GuestPhysical address, const void* from, std::uint64_t size) {
    std::byte* to = host(address, size);
    if (to == nullptr) {
        return false;
    }
    std::memcpy(to, from, size);
    written(address, size);
    return true;
}

void GuestMemory::written(GuestPhysical address, std::uint64_t size) {
    // Whoever caches code marks the page first and reads its bytes then; here the bytes are written first and
    // the mark is read then. So one of the two sees the other.
    std::atomic_thread_fence(std::memory_order_seq_cst);
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

std::vector<GuestPhysical> GuestMemory::take_dirty() {
    std::vector<GuestPhysical> pages;
    for (const Slot& slot : slots_) {
        for (GuestPhysical page = slot.base; page < slot.base + slot.size; page += page_size) {
            const auto index = page_index(page);
            const std::uint64_t mask = std::uint64_t{1} << (index % 64);
            if (dirty_[index / 64].load(std::memory_order_relaxed) & mask) {
                dirty_[index / 64].fetch_and(~mask, std::memory_order_relaxed);
                pages.push_back(page);
            }
        }
    }
    return pages;
}

} // namespace strata::memory
