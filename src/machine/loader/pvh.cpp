// Starts an ELF kernel by the PVH protocol: a note names a 32-bit entry, which finds hvm_start_info by EBX.
// Xen docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h.
#include "machine/loader/boot_memory.hpp"
#include "machine/loader/elf.hpp"
#include "machine/loader/initial_state.hpp"
#include "machine/loader/loader.hpp"
#include "machine/loader/modules.hpp"
#include "machine/memory_map.hpp"

#include <cstring>
#include <fmt/format.h>

namespace strata::machine::loader {
namespace {

constexpr std::uint32_t note_phys32_entry = 18;
constexpr std::uint32_t start_info_magic = 0x336E'C578, start_info_version = 1;
constexpr std::size_t start_info_size = 56, module_size = 32, memmap_entry_size = 24;

Result<std::uint32_t> entry_point(const ElfFile& elf, const Image& kernel) {
    const auto note = find_note(elf, kernel, "Xen", note_phys32_entry);
    if (!note) {
        return fail("kernel " + kernel.name + ": an ELF file without a PVH entry (Xen note 18)",
                    "for Linux give the bzImage (vmlinuz), or build with CONFIG_PVH=y");
    }
    if (note->size() != 4 && note->size() != 8) {
        return fail(fmt::format("kernel {}: a PVH entry of {} bytes", kernel.name, note->size()));
    }
    const std::uint64_t entry = note->size() == 8 ? note->at<std::uint64_t>(0) : note->at<std::uint32_t>(0);
    if (entry > 0xFFFF'FFFF) {
        return fail(fmt::format("kernel {}: the PVH entry {:#x} is not below 4 GiB", kernel.name, entry));
    }
    return static_cast<std::uint32_t>(entry);
}

// The start info and all it points to, gathered into one block so that one place is found for it.
class StartInfo {
public:
    StartInfo(const BootRequest& request, const BootTarget& target, std::vector<GuestPhysical> modules)
        : request_(request), target_(target), modules_(std::move(modules)) {
        module_table_ = start_info_size;
        memmap_ = module_table_ + request.modules.size() * module_size;
        strings_ = memmap_ + target.e820.size() * memmap_entry_size;
        size_ = strings_ + request.command_line.size() + 1;
        for (const Module& module : request.modules) {
            size_ += module.arguments.size() + 1;
        }
    }

    [[nodiscard]] std::size_t size() const { return size_; }

    [[nodiscard]] std::vector<std::byte> at(GuestPhysical base) const {
        std::vector<std::byte> block(size_);
        std::size_t string_at = strings_;
        const auto add_string = [&](const std::string& text) {
            const auto where = base + string_at;
            std::memcpy(&block[string_at], text.c_str(), text.size() + 1);
            string_at += text.size() + 1;
            return where;
        };
        store_le(&block[0], start_info_magic);
        store_le(&block[4], start_info_version);
        store_le(&block[12], static_cast<std::uint32_t>(modules_.size()));
        store_le(&block[16], modules_.empty() ? std::uint64_t{0} : base + module_table_);
        store_le(&block[24], add_string(request_.command_line));
        store_le(&block[32], target_.rsdp);
        store_le(&block[40], base + memmap_);
        store_le(&block[48], static_cast<std::uint32_t>(target_.e820.size()));
        for (std::size_t i = 0; i < modules_.size(); ++i) {
            std::byte* to = &block[module_table_ + i * module_size];
            store_le(to, modules_[i]);
            store_le(to + 8, std::uint64_t{request_.modules[i].image.bytes.size()});
            store_le(to + 16, add_string(request_.modules[i].arguments));
        }
        for (std::size_t i = 0; i < target_.e820.size(); ++i) {
            std::byte* to = &block[memmap_ + i * memmap_entry_size];
            store_le(to, target_.e820[i].base);
            store_le(to + 8, target_.e820[i].size);
            store_le(to + 16, static_cast<std::uint32_t>(target_.e820[i].type));
        }
        return block;
    }

private:
    const BootRequest& request_;
    const BootTarget& target_;
    std::vector<GuestPhysical> modules_;
    std::size_t module_table_ = 0, memmap_ = 0, strings_ = 0, size_ = 0;
};

} // namespace

Result<cpu::x86::State> load_pvh(const BootRequest& request, const BootTarget& target) {
    const auto elf = parse_elf(request.kernel);
    if (!elf) {
        return std::unexpected(elf.error());
    }
    const auto entry = entry_point(*elf, request.kernel);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    BootMemory memory(target.memory, target.e820);
    if (auto loaded = load_segments(*elf, request.kernel, memory); !loaded) {
        return std::unexpected(loaded.error());
    }
    auto modules = place_modules(request, memory);
    if (!modules) {
        return std::unexpected(modules.error());
    }
    const StartInfo info(request, target, std::move(*modules));
    const auto base = memory.place_lowest(info.size(), 16, 0, memory_map::ebda, "the PVH start info");
    if (!base) {
        return std::unexpected(base.error());
    }
    memory.write(*base, info.at(*base));
    auto state = protected_mode_state(memory, *entry);
    if (state) {
        state->gpr[cpu::x86::rbx] = *base;
    }
    return state;
}

} // namespace strata::machine::loader
