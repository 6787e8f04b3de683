// Starts a Multiboot 1 kernel, an ELF file or one that tells its addresses itself. Multiboot Specification
// 0.6.96 sections 3.2 (machine state) and 3.3 (boot information).
#include "machine/loader/boot_memory.hpp"
#include "machine/loader/elf.hpp"
#include "machine/loader/initial_state.hpp"
#include "machine/loader/loader.hpp"
#include "machine/loader/modules.hpp"
#include "machine/loader/multiboot_header.hpp"
#include "machine/memory_map.hpp"

#include <cstring>
#include <fmt/format.h>
#include <vector>

namespace strata::machine::loader {
namespace {

using namespace memory_map;

constexpr std::uint32_t bootloader_magic = 0x2BAD'B002;
constexpr std::uint32_t must_understand = 0xFFFF; // flags that a loader may not ignore
constexpr std::uint32_t understood =
    MultibootHeader::align_modules | MultibootHeader::memory_info | MultibootHeader::video_mode;
constexpr std::size_t info_size = 88, module_size = 16, memmap_entry_size = 24;

// Flags of the boot information.
constexpr std::uint32_t has_memory = 1 << 0, has_command_line = 1 << 2, has_modules = 1 << 3,
                        has_memmap = 1 << 6, has_loader_name = 1 << 9;

std::unexpected<Error> bad(const Image& kernel, std::string_view why) {
    return fail(fmt::format("kernel {}: Multiboot: {}", kernel.name, why));
}

// Loads the part of the file that the header's own addresses name; the entry point.
Result<std::uint32_t> load_by_addresses(const MultibootHeader& header, const Image& kernel,
                                        BootMemory& memory) {
    const ByteView image(kernel.bytes);
    const std::uint64_t before_header = std::uint64_t{header.header_address} - header.load_address;
    if (header.load_address > header.header_address || before_header > header.offset) {
        return bad(kernel, "the load address does not fit the header's place in the file");
    }
    const std::uint64_t file_start = header.offset - before_header;
    const std::uint64_t file_size = header.load_end_address == 0
                                        ? image.size() - file_start
                                        : std::uint64_t{header.load_end_address} - header.load_address;
    const auto contents = image.slice(file_start, file_size);
    if (!contents) {
        return bad(kernel, "the file is shorter than the addresses in its header say");
    }
    const std::uint64_t load_end = header.load_address + file_size;
    if (header.bss_end_address != 0 && header.bss_end_address < load_end) {
        return bad(kernel, "the bss ends before the loaded part");
    }
    const std::uint64_t memory_size =
        header.bss_end_address == 0 ? file_size : std::uint64_t{header.bss_end_address} - header.load_address;
    if (auto claimed = memory.claim(header.load_address, memory_size, "kernel " + kernel.name); !claimed) {
        return std::unexpected(claimed.error());
    }
    memory.write(header.load_address, *contents);
    memory.fill_zero(load_end, memory_size - file_size);
    return header.entry_address;
}

Result<std::uint32_t> load_elf(const Image& kernel, BootMemory& memory) {
    const ByteView image(kernel.bytes);
    if (!is_elf(image)) {
        return bad(kernel, "neither an ELF file nor one with load addresses in its header (flag 16)");
    }
    const auto elf = parse_elf(kernel);
    if (!elf) {
        return std::unexpected(elf.error());
    }
    if (elf->entry > 0xFFFF'FFFF) {
        return bad(kernel, fmt::format("the entry {:#x} is not below 4 GiB", elf->entry));
    }
    if (auto loaded = load_segments(*elf, kernel, memory); !loaded) {
        return std::unexpected(loaded.error());
    }
    return static_cast<std::uint32_t>(elf->entry);
}

// The boot information, with all it points to behind it in one block.
class BootInformation {
public:
    BootInformation(const BootRequest& request, const BootTarget& target,
                    const std::vector<GuestPhysical>& modules) {
        block_.resize(info_size);
        put(0, has_memory | has_command_line | has_memmap | has_loader_name |
                   (modules.empty() ? 0 : has_modules));
        put(4, static_cast<std::uint32_t>(ebda / kib));
        refer(16, add_string(with_name(request.kernel.name, request.command_line)));
        add_modules(request, modules);
        add_memory_map(target);
        refer(64, add_string("Strata"));
    }

    [[nodiscard]] std::size_t size() const { return block_.size(); }

    [[nodiscard]] std::vector<std::byte> at(GuestPhysical base) const {
        auto block = block_;
        for (const std::size_t field : references_) {
            const auto offset = load_le<std::uint32_t>(&block[field]);
            store_le(&block[field], static_cast<std::uint32_t>(base + offset));
        }
        return block;
    }

private:
    void put(std::size_t offset, std::uint32_t value) { store_le(&block_[offset], value); }

    // The field holds an offset in the block, which becomes an address.
    void refer(std::size_t field, std::size_t offset) {
        put(field, static_cast<std::uint32_t>(offset));
        references_.push_back(field);
    }

    std::size_t reserve(std::size_t bytes) {
        const std::size_t at = (block_.size() + 3) & ~std::size_t{3};
        block_.resize(at + bytes);
        return at;
    }

    std::size_t add_string(const std::string& text) {
        const std::size_t at = reserve(text.size() + 1);
        std::memcpy(&block_[at], text.c_str(), text.size() + 1);
        return at;
    }

    static std::string with_name(const std::string& name, const std::string& arguments) {
        return arguments.empty() ? name : name + " " + arguments;
    }

    void add_modules(const BootRequest& request, const std::vector<GuestPhysical>& modules) {
        const std::size_t table = reserve(modules.size() * module_size);
        for (std::size_t i = 0; i < modules.size(); ++i) {
            const std::size_t entry = table + i * module_size;
            const Module& module = request.modules[i];
            put(entry, static_cast<std::uint32_t>(modules[i]));
            put(entry + 4, static_cast<std::uint32_t>(modules[i] + module.image.bytes.size()));
            refer(entry + 8, add_string(with_name(module.image.name, module.arguments)));
        }
        put(20, static_cast<std::uint32_t>(modules.size()));
        refer(24, table);
    }

    void add_memory_map(const BootTarget& target) {
        const std::size_t table = reserve(target.e820.size() * memmap_entry_size);
        for (std::size_t i = 0; i < target.e820.size(); ++i) {
            const E820Entry& entry = target.e820[i];
            std::byte* to = &block_[table + i * memmap_entry_size];
            store_le(to, static_cast<std::uint32_t>(memmap_entry_size - 4)); // the size of what follows
            store_le(to + 4, entry.base);
            store_le(to + 12, entry.size);
            store_le(to + 20, static_cast<std::uint32_t>(entry.type));
            if (entry.base == high_memory && entry.type == E820Type::ram) {
                put(8, static_cast<std::uint32_t>(entry.size / kib));
            }
        }
        put(44, static_cast<std::uint32_t>(target.e820.size() * memmap_entry_size));
        refer(48, table);
    }

    std::vector<std::byte> block_;
    std::vector<std::size_t> references_;
};

} // namespace

Result<cpu::x86::State> load_multiboot(const BootRequest& request, const BootTarget& target) {
    const auto header = find_multiboot_header(ByteView(request.kernel.bytes));
    if (!header) {
        return bad(request.kernel, "no header");
    }
    if ((header->flags & must_understand & ~understood) != 0) {
        return bad(request.kernel,
                   fmt::format("the header asks for something unknown (flags {:#x})", header->flags));
    }
    BootMemory memory(target.memory, target.e820);
    const bool by_addresses = header->flags & MultibootHeader::addresses_given;
    const auto entry =
        by_addresses ? load_by_addresses(*header, request.kernel, memory) : load_elf(request.kernel, memory);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    const auto modules = place_modules(request, memory);
    if (!modules) {
        return std::unexpected(modules.error());
    }
    const BootInformation info(request, target, *modules);
    const auto base = memory.place_lowest(info.size(), 16, 0, low_ram_limit, "the Multiboot information");
    if (!base) {
        return std::unexpected(base.error());
    }
    memory.write(*base, info.at(*base));
    auto state = protected_mode_state(memory, *entry);
    if (state) {
        state->gpr[cpu::x86::rax] = bootloader_magic;
        state->gpr[cpu::x86::rbx] = *base;
    }
    return state;
}

} // namespace strata::machine::loader
