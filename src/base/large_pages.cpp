#include "base/large_pages.hpp"

#include "base/bits.hpp"

#include <cerrno>
#include <cstdint>
#include <limits>
#include <sys/mman.h>
#include <sys/prctl.h>

namespace strata {

LargePages::LargePages(std::size_t size, const char* name) {
    constexpr std::size_t small_page = 4096;
    if (size > std::numeric_limits<std::size_t>::max() / 2) {
        errno = ENOMEM;
        return;
    }
    size = align_up(size, small_page);
    void* memory = ::mmap(nullptr, size + alignment, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    const auto start = reinterpret_cast<std::uintptr_t>(memory);
    const std::size_t before = (alignment - start % alignment) % alignment;
    data_ = static_cast<std::byte*>(memory) + before;
    size_ = size;
    if (before != 0) {
        ::munmap(memory, before);
    }
    ::munmap(data_ + size, alignment - before);
    // Where the host has no large pages, small ones do.
    static_cast<void>(::madvise(data_, size, MADV_HUGEPAGE));
    static_cast<void>(::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, data_, size, name));
}

LargePages::~LargePages() {
    if (data_ != nullptr) {
        ::munmap(data_, size_);
    }
}

} // namespace strata
