// The setup header of a Linux kernel image. Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel
// Header".
#pragma once

#include "base/error.hpp"
#include "machine/loader/byte_view.hpp"
#include "machine/loader/loader.hpp"

#include <cstdint>

namespace strata::machine::loader {

// Offsets in the image, which are those in the boot parameters ("zero page") too.
namespace setup {
inline constexpr std::uint64_t header = 0x1F1, setup_sects = 0x1F1, syssize = 0x1F4, boot_flag = 0x1FE,
                               jump = 0x200, magic = 0x202, version = 0x206, type_of_loader = 0x210,
                               loadflags = 0x211, code32_start = 0x214, ramdisk_image = 0x218,
                               ramdisk_size = 0x21C, cmd_line_ptr = 0x228, initrd_addr_max = 0x22C,
                               kernel_alignment = 0x230, relocatable_kernel = 0x234, xloadflags = 0x236,
                               cmdline_size = 0x238, pref_address = 0x258, init_size = 0x260;
}

struct LinuxHeader {
    std::uint16_t version;      // 0x20F: 2.15
    std::uint64_t header_end;   // the setup header is [setup::header, header_end)
    std::uint64_t setup_size;   // the real-mode part, before the protected-mode kernel
    std::uint64_t payload_size; // the protected-mode kernel
    bool loaded_high;           // at 1 MiB, not 64 KiB
    bool relocatable;
    bool entry64;                     // a 64-bit entry at 0x200 of the protected-mode kernel
    std::uint32_t kernel_alignment;   // a power of two, if relocatable
    std::uint32_t initrd_addr_max;    // the last byte that an initial RAM disk may take
    std::uint32_t command_line_limit; // without the final zero
    std::uint64_t preferred_address;  // 0 if the protocol has none
    std::uint64_t init_size;          // memory that the kernel needs from where it is loaded
};

[[nodiscard]] bool is_linux_image(const ByteView& image);
[[nodiscard]] Result<LinuxHeader> parse_linux_header(const Image& kernel);

} // namespace strata::machine::loader
