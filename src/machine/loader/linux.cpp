// Starts a Linux bzImage or zImage at its 64-bit or 32-bit entry. Linux Documentation/arch/x86/boot.rst,
// "32-bit Boot Protocol" and "64-bit Boot Protocol"; the boot parameters are laid out in
// Documentation/arch/x86/zero-page.rst.
#include "machine/loader/boot_memory.hpp"
#include "machine/loader/initial_state.hpp"
#include "machine/loader/linux_header.hpp"
#include "machine/loader/loader.hpp"
#include "machine/memory_map.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace strata::machine::loader {
namespace {

using namespace memory_map;

constexpr GuestPhysical zimage_address = 0x1'0000;
constexpr std::uint64_t entry64_offset = 0x200;
constexpr std::uint8_t undefined_loader = 0xFF;

// Fields of the zero page beside the setup header.
constexpr std::size_t zero_page_size = 4096;
constexpr std::size_t ext_mem_k = 0x2, acpi_rsdp_addr = 0x70, alt_mem_k = 0x1E0, e820_entries = 0x1E8,
                      e820_table = 0x2D0, e820_entry_size = 20, e820_table_entries = 128;

using ZeroPage = std::array<std::byte, zero_page_size>;

// Loads the protected-mode kernel where it prefers to be, or where it may be.
Result<GuestPhysical> place_kernel(const LinuxHeader& header, const Image& kernel, BootMemory& memory) {
    GuestPhysical address = header.loaded_high ? high_memory : zimage_address;
    if (header.relocatable && memory.available(header.preferred_address, header.init_size)) {
        address = header.preferred_address;
    } else if (header.relocatable) {
        address = align_up(address, header.kernel_alignment);
    }
    if (auto claimed = memory.claim(address, header.init_size, "kernel " + kernel.name); !claimed) {
        return std::unexpected(claimed.error());
    }
    memory.write(address, kernel.bytes.subspan(header.setup_size));
    return address;
}

struct Ramdisk {
    GuestPhysical address = 0;
    std::uint64_t size = 0;
};

// As high as the kernel allows: what lies low is in the way of its decompression.
Result<Ramdisk> place_ramdisk(const LinuxHeader& header, const BootRequest& request, BootMemory& memory) {
    if (request.modules.empty()) {
        return Ramdisk{};
    }
    if (request.modules.size() > 1) {
        return fail("a Linux kernel takes one initial RAM disk, not " +
                        std::to_string(request.modules.size()),
                    "concatenate the cpio archives into one file");
    }
    const Image& image = request.modules.front().image;
    const GuestPhysical limit = std::uint64_t{header.initrd_addr_max} + 1;
    const auto address = memory.place_highest(image.bytes.size(), memory::page_size, high_memory, limit,
                                              "initial RAM disk " + image.name);
    if (!address) {
        return std::unexpected(address.error());
    }
    memory.write(*address, image.bytes);
    return Ramdisk{*address, image.bytes.size()};
}

Result<GuestPhysical> place_command_line(const LinuxHeader& header, const std::string& text,
                                         BootMemory& memory) {
    if (text.size() > header.command_line_limit) {
        return fail(fmt::format("the kernel command line has {} characters; this kernel takes {}",
                                text.size(), header.command_line_limit),
                    "shorten --append");
    }
    const auto address =
        memory.place_lowest(text.size() + 1, 16, memory::page_size, ebda, "the kernel command line");
    if (address) {
        memory.write(*address, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
    }
    return address;
}

void describe_memory(ZeroPage& page, const BootTarget& target) {
    const auto count = std::min(target.e820.size(), e820_table_entries);
    page[e820_entries] = static_cast<std::byte>(count);
    std::uint64_t extended_kib = 0; // from 1 MiB to the first hole, for kernels that do not know E820
    for (std::size_t i = 0; i < count; ++i) {
        const E820Entry& entry = target.e820[i];
        std::byte* to = &page[e820_table + i * e820_entry_size];
        store_le(to, entry.base);
        store_le(to + 8, entry.size);
        store_le(to + 16, static_cast<std::uint32_t>(entry.type));
        if (entry.base == high_memory && entry.type == E820Type::ram) {
            extended_kib = entry.size / kib;
        }
    }
    store_le(&page[alt_mem_k], static_cast<std::uint32_t>(extended_kib));
    store_le(&page[ext_mem_k], static_cast<std::uint16_t>(std::min<std::uint64_t>(extended_kib, 0xFFFF)));
}

ZeroPage zero_page(const LinuxHeader& header, const BootRequest& request, const BootTarget& target,
                   const Ramdisk& ramdisk, GuestPhysical command_line, GuestPhysical kernel) {
    ZeroPage page{};
    const auto setup_header = request.kernel.bytes.subspan(setup::header, header.header_end - setup::header);
    std::ranges::copy(setup_header, page.begin() + setup::header);
    page[setup::type_of_loader] = std::byte{undefined_loader};
    store_le(&page[setup::code32_start], static_cast<std::uint32_t>(kernel));
    store_le(&page[setup::ramdisk_image], static_cast<std::uint32_t>(ramdisk.address));
    store_le(&page[setup::ramdisk_size], static_cast<std::uint32_t>(ramdisk.size));
    store_le(&page[setup::cmd_line_ptr], static_cast<std::uint32_t>(command_line));
    store_le(&page[acpi_rsdp_addr], target.rsdp);
    describe_memory(page, target);
    return page;
}

} // namespace

Result<cpu::x86::State> load_linux(const BootRequest& request, const BootTarget& target) {
    const auto header = parse_linux_header(request.kernel);
    if (!header) {
        return std::unexpected(header.error());
    }
    BootMemory memory(target.memory, target.e820);
    const auto kernel = place_kernel(*header, request.kernel, memory);
    if (!kernel) {
        return std::unexpected(kernel.error());
    }
    const auto ramdisk = place_ramdisk(*header, request, memory);
    if (!ramdisk) {
        return std::unexpected(ramdisk.error());
    }
    const auto command_line = place_command_line(*header, request.command_line, memory);
    if (!command_line) {
        return std::unexpected(command_line.error());
    }
    const auto parameters =
        memory.place_lowest(zero_page_size, memory::page_size, 0, ebda, "the boot parameters");
    if (!parameters) {
        return std::unexpected(parameters.error());
    }
    memory.write(*parameters, zero_page(*header, request, target, *ramdisk, *command_line, *kernel));

    const bool use64 = header->entry64 && target.long_mode;
    auto state = use64 ? long_mode_state(memory, *kernel + entry64_offset)
                       : protected_mode_state(memory, static_cast<std::uint32_t>(*kernel));
    if (state) {
        state->gpr[cpu::x86::rsi] = *parameters;
    }
    return state;
}

} // namespace strata::machine::loader
