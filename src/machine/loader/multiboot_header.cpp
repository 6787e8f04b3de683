#include "machine/loader/multiboot_header.hpp"

#include <algorithm>

namespace strata::machine::loader {

std::optional<MultibootHeader> find_multiboot_header(const ByteView& image) {
    constexpr std::uint32_t magic = 0x1BAD'B002;
    constexpr std::uint64_t search_limit = 8192, shortest = 12;
    const std::uint64_t end = std::min(image.size(), search_limit);
    for (std::uint64_t at = 0; at + shortest <= end; at += 4) {
        if (image.at<std::uint32_t>(at) != magic) {
            continue;
        }
        const auto flags = image.at<std::uint32_t>(at + 4);
        const auto checksum = image.at<std::uint32_t>(at + 8);
        if (magic + flags + checksum == 0) {
            return MultibootHeader{.offset = at,
                                   .flags = flags,
                                   .header_address = image.at<std::uint32_t>(at + 12),
                                   .load_address = image.at<std::uint32_t>(at + 16),
                                   .load_end_address = image.at<std::uint32_t>(at + 20),
                                   .bss_end_address = image.at<std::uint32_t>(at + 24),
                                   .entry_address = image.at<std::uint32_t>(at + 28)};
        }
    }
    return std::nullopt;
}

} // namespace strata::machine::loader
