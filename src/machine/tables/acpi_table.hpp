// Fills an ACPI table field by field: header first, length and checksum last. ACPI Specification 6.5,
// section 5.2.6.
#pragma once

#include "base/bytes.hpp"
#include "machine/tables/acpi.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace strata::machine::acpi {

// The byte that makes the sum of all bytes zero.
[[nodiscard]] std::byte checksum(std::span<const std::byte> bytes);

class TableBuilder {
public:
    TableBuilder(std::string_view signature, std::uint8_t revision);

    template <std::unsigned_integral T>
    TableBuilder& put(T value) {
        std::array<std::byte, sizeof(T)> encoded;
        store_le(encoded.data(), value);
        return append(encoded);
    }

    // Padded with zeros, which is what the specification's text fields allow.
    TableBuilder& text(std::string_view value, std::size_t width);
    TableBuilder& append(std::span<const std::byte> more);
    TableBuilder& zeros(std::size_t count);

    [[nodiscard]] Table finish() &&;

private:
    Table bytes_;
};

} // namespace strata::machine::acpi
