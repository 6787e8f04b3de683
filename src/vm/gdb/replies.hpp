// Pieces of packets that several commands share.
#pragma once

#include "vm/gdb/packet.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <string_view>

namespace strata::vm::gdb::replies {

inline const std::string ok = "OK", unsupported;
inline const std::string error_bad_argument = "E16", error_memory = "E0e"; // EINVAL, EFAULT

// GDB numbers threads from 1.
[[nodiscard]] inline std::string thread_id(unsigned thread) { return fmt::format("{:x}", thread + 1); }

// "ADDRESS,SIZE" at the start of `text`, which is moved behind it.
struct Range {
    std::uint64_t address = 0, size = 0;
};

[[nodiscard]] inline std::optional<Range> take_range(std::string_view& text) {
    const auto address = take_number(text);
    if (!address || !take_prefix(text, ",")) {
        return std::nullopt;
    }
    const auto size = take_number(text);
    if (!size) {
        return std::nullopt;
    }
    return Range{*address, *size};
}

} // namespace strata::vm::gdb::replies
