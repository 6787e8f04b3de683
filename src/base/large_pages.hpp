// Memory of its own, zeroed, in pages of 2 MiB where the host gives such (transparent huge pages by madvise):
// for what is accessed all over, where pages of 4 KiB cost a fault each and have no room in the host's TLB.
#pragma once

#include <cstddef>
#include <utility>

namespace strata {

class LargePages {
public:
    static constexpr std::size_t alignment = std::size_t{2} << 20;

    // Address space for `size` bytes (not 0), aligned; memory is what is touched. Without it operator bool is
    // false, and errno says why. `name` is for /proc/PID/maps, of kernels that have names there.
    LargePages(std::size_t size, const char* name);
    ~LargePages();

    LargePages(LargePages&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

    LargePages(const LargePages&) = delete;
    LargePages& operator=(const LargePages&) = delete;
    LargePages& operator=(LargePages&&) = delete;

    explicit operator bool() const { return data_ != nullptr; }

    [[nodiscard]] std::byte* data() const { return data_; }

    [[nodiscard]] std::size_t size() const { return size_; }

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace strata
