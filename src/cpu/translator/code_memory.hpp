// Memory for translated code: one memory file mapped twice, writable here and executable there, so that no
// page is ever both.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstddef>
#include <cstdint>

namespace strata::cpu::translator {

class CodeMemory {
public:
    static Result<CodeMemory> create(std::size_t size);
    CodeMemory(CodeMemory&& other) noexcept;
    CodeMemory(const CodeMemory&) = delete;
    CodeMemory& operator=(const CodeMemory&) = delete;
    CodeMemory& operator=(CodeMemory&&) = delete;
    ~CodeMemory();

    // Where code is written. Distances within it are those within the executable view.
    [[nodiscard]] std::uint8_t* next() const { return writable_ + used_; }

    [[nodiscard]] std::size_t left() const { return size_ - used_; }

    [[nodiscard]] std::size_t used() const { return used_; }

    void take(std::size_t size) { used_ += (size + 15) & ~std::size_t{15}; }

    // Forgets all but the first `used` bytes.
    void shrink(std::size_t used) { used_ = used; }

    // The executable address of what is written at `at`.
    [[nodiscard]] std::uintptr_t executable(const std::uint8_t* at) const {
        return reinterpret_cast<std::uintptr_t>(executable_) + static_cast<std::size_t>(at - writable_);
    }

private:
    CodeMemory(std::uint8_t* writable, std::uint8_t* executable, std::size_t size)
        : writable_(writable), executable_(executable), size_(size) {}

    std::uint8_t* writable_ = nullptr;
    std::uint8_t* executable_ = nullptr;
    std::size_t size_ = 0;
    std::size_t used_ = 0;
};

} // namespace strata::cpu::translator
