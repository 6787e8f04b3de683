#include "machine/loader/linux_header.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

namespace strata::machine::loader {
namespace {

constexpr std::uint32_t header_magic = 0x5372'6448; // "HdrS"
constexpr std::uint16_t boot_flag_value = 0xAA55;
constexpr std::uint16_t oldest_version = 0x202;
constexpr std::uint64_t sector = 512;
constexpr std::uint8_t loadflag_loaded_high = 1 << 0;
constexpr std::uint16_t xloadflag_kernel_64 = 1 << 0;
constexpr std::uint32_t initrd_addr_max_before_203 = 0x37FF'FFFF;
constexpr std::uint32_t command_line_limit_before_206 = 255;

std::unexpected<Error> bad(const Image& kernel, std::string_view why) {
    return fail(fmt::format("kernel {}: {}", kernel.name, why),
                "is the file complete? copy or build it again");
}

} // namespace

bool is_linux_image(const ByteView& image) {
    return image.at<std::uint32_t>(setup::magic) == header_magic &&
           image.at<std::uint16_t>(setup::boot_flag) == boot_flag_value;
}

Result<LinuxHeader> parse_linux_header(const Image& kernel) {
    const ByteView image(kernel.bytes);
    LinuxHeader header{};
    header.version = image.at<std::uint16_t>(setup::version);
    if (header.version < oldest_version) {
        return fail(fmt::format("kernel {}: Linux boot protocol {}.{:02} is too old", kernel.name,
                                header.version >> 8, header.version & 0xFF),
                    "protocol 2.02 (Linux 2.4) or later is needed");
    }
    const auto since = [&header](std::uint16_t version) { return header.version >= version; };

    // The jump at 0x200 is a short one over the header: its displacement tells the header's end.
    header.header_end = setup::magic + image.at<std::uint8_t>(setup::jump + 1);
    const auto sectors = image.at<std::uint8_t>(setup::setup_sects);
    header.setup_size = ((sectors == 0 ? 4U : sectors) + 1) * sector;
    if (header.header_end > header.setup_size || !image.contains(0, header.setup_size)) {
        return bad(kernel, "the setup code is cut off");
    }
    header.payload_size = image.size() - header.setup_size;
    const std::uint64_t claimed = std::uint64_t{since(0x204) ? image.at<std::uint32_t>(setup::syssize)
                                                             : image.at<std::uint16_t>(setup::syssize)} *
                                  16;
    if (header.payload_size == 0 || (since(0x204) && claimed > align_up(header.payload_size, 16))) {
        return bad(kernel, fmt::format("the file ends after {} bytes of {}", image.size(),
                                       header.setup_size + claimed));
    }

    header.loaded_high = image.at<std::uint8_t>(setup::loadflags) & loadflag_loaded_high;
    header.initrd_addr_max =
        since(0x203) ? image.at<std::uint32_t>(setup::initrd_addr_max) : initrd_addr_max_before_203;
    header.command_line_limit =
        since(0x206) ? image.at<std::uint32_t>(setup::cmdline_size) : command_line_limit_before_206;
    if (since(0x205)) {
        header.kernel_alignment = image.at<std::uint32_t>(setup::kernel_alignment);
        header.relocatable = image.at<std::uint8_t>(setup::relocatable_kernel) != 0;
        if (header.relocatable && !std::has_single_bit(header.kernel_alignment)) {
            return bad(kernel, fmt::format("impossible kernel alignment {:#x}", header.kernel_alignment));
        }
    }
    header.init_size = header.payload_size;
    if (since(0x20A)) {
        header.preferred_address = image.at<std::uint64_t>(setup::pref_address);
        header.init_size =
            std::max<std::uint64_t>(header.payload_size, image.at<std::uint32_t>(setup::init_size));
    }
    header.entry64 = since(0x20C) && (image.at<std::uint16_t>(setup::xloadflags) & xloadflag_kernel_64);
    constexpr std::uint64_t entry64_offset = 0x200;
    if (header.entry64 && header.payload_size <= entry64_offset) {
        return bad(kernel, "the protected-mode code is cut off");
    }
    return header;
}

} // namespace strata::machine::loader
