// A large array of zeros that takes memory only where it has been written: for tables with an entry a page of
// the guest's memory, most of which no guest touches.
#pragma once

#include <cstddef>
#include <new>
#include <sys/mman.h>
#include <type_traits>

namespace strata {

// T is an integer or an atomic one: all zeros is its zero, and nothing happens when it ends.
template <class T>
class ZeroedArray {
    static_assert(std::is_trivially_destructible_v<T> && std::is_standard_layout_v<T>);

public:
    // Throws std::bad_alloc if the host has not the address space.
    explicit ZeroedArray(std::size_t count) : bytes_(count * sizeof(T)) {
        void* memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::bad_alloc();
        }
        elements_ = static_cast<T*>(memory);
    }

    ~ZeroedArray() { ::munmap(elements_, bytes_); }

    ZeroedArray(const ZeroedArray&) = delete;
    ZeroedArray& operator=(const ZeroedArray&) = delete;

    [[nodiscard]] T& operator[](std::size_t index) { return elements_[index]; }

    [[nodiscard]] const T& operator[](std::size_t index) const { return elements_[index]; }

private:
    std::size_t bytes_;
    T* elements_ = nullptr;
};

} // namespace strata
