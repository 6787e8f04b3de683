// ELF executables of 32 and 64 bits: what a boot loader needs of them. System V gABI chapter 5.
#pragma once

#include "base/error.hpp"
#include "machine/loader/boot_memory.hpp"
#include "machine/loader/byte_view.hpp"
#include "machine/loader/loader.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace strata::machine::loader {

struct ElfSegment {
    enum class Type : std::uint32_t { load = 1, note = 4 };

    std::uint32_t type; // others than Type's are kept out
    std::uint64_t offset, file_size;
    std::uint64_t physical_address, memory_size;
    std::uint64_t alignment;
};

struct ElfFile {
    bool is64;
    std::uint64_t entry;              // as linked: virtual
    std::vector<ElfSegment> segments; // loadable ones and notes; each lies within the file
};

[[nodiscard]] bool is_elf(const ByteView& image);
[[nodiscard]] Result<ElfFile> parse_elf(const Image& kernel);

// Claims each loadable segment's physical range and fills it.
[[nodiscard]] Result<void> load_segments(const ElfFile& elf, const Image& kernel, BootMemory& memory);

// The description of the first note with this owner and type.
[[nodiscard]] std::optional<ByteView> find_note(const ElfFile& elf, const Image& kernel,
                                                std::string_view owner, std::uint32_t type);

} // namespace strata::machine::loader
