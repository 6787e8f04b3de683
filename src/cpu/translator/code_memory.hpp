// Memory for translated code: one memory file mapped twice, writable here and executable there, so that no
// page is ever both. What stays is at its beginning; the rest is sections, of which the oldest makes room.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace strata::cpu::translator {

class CodeMemory {
public:
    static constexpr unsigned sections = 8;

    static Result<CodeMemory> create(std::size_t size);
    CodeMemory(CodeMemory&& other) noexcept;
    CodeMemory(const CodeMemory&) = delete;
    CodeMemory& operator=(const CodeMemory&) = delete;
    CodeMemory& operator=(CodeMemory&&) = delete;
    ~CodeMemory();

    // Where code is written. Distances within it are those within the executable view.
    [[nodiscard]] std::uint8_t* next() const { return writable_ + used_; }

    // In the section.
    [[nodiscard]] std::size_t left() const { return begin_of(section_ + 1) - used_; }

    void take(std::size_t size) { used_ += (size + 15) & ~std::size_t{15}; }

    // All that was taken stays; what follows is sections.
    void keep() { kept_ = used_; }

    // The section that next() is in, from 0.
    [[nodiscard]] unsigned section() const { return section_; }

    // From now on next() is in that section, from its beginning.
    void enter(unsigned section) {
        section_ = section;
        used_ = begin_of(section);
    }

    // Of an executable address; empty if none is there.
    [[nodiscard]] std::optional<unsigned> section_of(std::uintptr_t address) const {
        const std::uintptr_t offset = address - reinterpret_cast<std::uintptr_t>(executable_);
        return offset < kept_ || offset >= begin_of(sections)
                   ? std::nullopt
                   : std::optional(static_cast<unsigned>((offset - kept_) / section_size()));
    }

    // The executable address of what is written at `at`.
    [[nodiscard]] std::uintptr_t executable(const std::uint8_t* at) const {
        return reinterpret_cast<std::uintptr_t>(executable_) + static_cast<std::size_t>(at - writable_);
    }

private:
    CodeMemory(std::uint8_t* writable, std::uint8_t* executable, std::size_t size)
        : writable_(writable), executable_(executable), size_(size) {}

    [[nodiscard]] std::size_t section_size() const { return (size_ - kept_) / sections & ~std::size_t{15}; }

    [[nodiscard]] std::size_t begin_of(unsigned section) const { return kept_ + section * section_size(); }

    std::uint8_t* writable_ = nullptr;
    std::uint8_t* executable_ = nullptr;
    std::size_t size_ = 0;
    std::size_t used_ = 0;
    std::size_t kept_ = 0;
    unsigned section_ = 0;
};

} // namespace strata::cpu::translator
