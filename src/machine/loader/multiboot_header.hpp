// The Multiboot 1 header in a kernel image. Multiboot Specification 0.6.96 section 3.1.
#pragma once

#include "machine/loader/byte_view.hpp"

#include <cstdint>
#include <optional>

namespace strata::machine::loader {

struct MultibootHeader {
    static constexpr std::uint32_t align_modules = 1 << 0, memory_info = 1 << 1, video_mode = 1 << 2,
                                   addresses_given = 1 << 16;

    std::uint64_t offset; // in the file
    std::uint32_t flags;
    // Valid with addresses_given (the a.out kludge).
    std::uint32_t header_address, load_address, load_end_address, bss_end_address, entry_address;
};

// The first header with a right checksum in the first 8 KiB, at a multiple of 4.
[[nodiscard]] std::optional<MultibootHeader> find_multiboot_header(const ByteView& image);

} // namespace strata::machine::loader
