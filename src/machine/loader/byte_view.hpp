// Bounds-checked reads from a file image in little-endian order.
#pragma once

#include "base/bytes.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace strata::machine::loader {

class ByteView {
public:
    ByteView() = default;

    explicit ByteView(std::span<const std::byte> bytes) : bytes_(bytes) {}

    [[nodiscard]] std::uint64_t size() const { return bytes_.size(); }

    [[nodiscard]] bool contains(std::uint64_t offset, std::uint64_t size) const {
        return offset <= bytes_.size() && size <= bytes_.size() - offset;
    }

    // Nothing if the range leaves the image.
    [[nodiscard]] std::optional<std::span<const std::byte>> slice(std::uint64_t offset,
                                                                  std::uint64_t size) const {
        if (!contains(offset, size)) {
            return std::nullopt;
        }
        return bytes_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    }

    // Zero if the field leaves the image: callers check the size of a header first, once.
    template <std::unsigned_integral T>
    [[nodiscard]] T at(std::uint64_t offset) const {
        return contains(offset, sizeof(T)) ? load_le<T>(bytes_.data() + offset) : T{0};
    }

private:
    std::span<const std::byte> bytes_;
};

} // namespace strata::machine::loader
