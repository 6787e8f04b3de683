#include "machine/tables/acpi_table.hpp"

#include <algorithm>
#include <numeric>

namespace strata::machine::acpi {

std::byte checksum(std::span<const std::byte> bytes) {
    const auto sum = std::accumulate(bytes.begin(), bytes.end(), 0U, [](unsigned total, std::byte value) {
        return total + static_cast<unsigned>(value);
    });
    return static_cast<std::byte>(0U - sum);
}

TableBuilder::TableBuilder(std::string_view signature, std::uint8_t revision) {
    text(signature, 4).put(std::uint32_t{0}).put(revision).put(std::uint8_t{0});
    text("STRATA", 6).text("STRATA", 8).put(std::uint32_t{1}).text("STRA", 4).put(std::uint32_t{1});
}

TableBuilder& TableBuilder::text(std::string_view value, std::size_t width) {
    return append(std::as_bytes(std::span(value.substr(0, width))))
        .zeros(width - std::min(value.size(), width));
}

TableBuilder& TableBuilder::append(std::span<const std::byte> more) {
    bytes_.insert(bytes_.end(), more.begin(), more.end());
    return *this;
}

TableBuilder& TableBuilder::zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
}

Table TableBuilder::finish() && {
    constexpr std::size_t length_offset = 4, checksum_offset = 9;
    store_le(&bytes_[length_offset], static_cast<std::uint32_t>(bytes_.size()));
    bytes_[checksum_offset] = checksum(bytes_);
    return std::move(bytes_);
}

} // namespace strata::machine::acpi
