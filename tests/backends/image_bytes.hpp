// Disk contents as strings.
#pragma once

#include "backends/block/block.hpp"

#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace strata::backends {

inline std::string read_at(BlockBackend& disk, std::uint64_t offset, std::size_t size) {
    std::string bytes(size, '?');
    const auto result = disk.read(offset, std::as_writable_bytes(std::span(bytes)));
    EXPECT_TRUE(result) << result.error().message;
    return bytes;
}

inline void write_at(BlockBackend& disk, std::uint64_t offset, std::string_view bytes) {
    const auto result = disk.write(offset, std::as_bytes(std::span(bytes)));
    EXPECT_TRUE(result) << result.error().message;
}

} // namespace strata::backends
