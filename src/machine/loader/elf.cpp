#include "machine/loader/elf.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace strata::machine::loader {
namespace {

constexpr std::uint32_t elf_magic = 0x464C'457F; // "\x7FELF"
constexpr std::uint8_t class32 = 1, class64 = 2, little_endian = 1;
constexpr std::uint16_t machine_386 = 3, machine_x86_64 = 62;
constexpr std::uint64_t max_segments = 128;

std::unexpected<Error> bad(const Image& kernel, std::string_view why) {
    return fail(fmt::format("kernel {}: {}", kernel.name, why));
}

// Where the two classes keep the fields that are read here.
struct Layout {
    std::uint64_t entry, program_headers, header_entry_size, header_count;
    std::uint64_t offset, physical_address, file_size, memory_size, alignment, header_size;
    bool is64;

    [[nodiscard]] std::uint64_t word(const ByteView& image, std::uint64_t at) const {
        return is64 ? image.at<std::uint64_t>(at) : image.at<std::uint32_t>(at);
    }
};

constexpr Layout layout32{0x18, 0x1C, 0x2A, 0x2C, 0x04, 0x0C, 0x10, 0x14, 0x1C, 32, false};
constexpr Layout layout64{0x18, 0x20, 0x36, 0x38, 0x08, 0x18, 0x20, 0x28, 0x30, 56, true};

Result<Layout> layout_of(const Image& kernel) {
    const ByteView image(kernel.bytes);
    const auto file_class = image.at<std::uint8_t>(4);
    if ((file_class != class32 && file_class != class64) || image.at<std::uint8_t>(5) != little_endian) {
        return bad(kernel, "not a little-endian ELF file of 32 or 64 bits");
    }
    const auto machine = image.at<std::uint16_t>(0x12);
    if (machine != machine_386 && machine != machine_x86_64) {
        return bad(kernel, fmt::format("an ELF file for another processor (machine {})", machine));
    }
    return file_class == class64 ? layout64 : layout32;
}

ElfSegment read_segment(const Layout& layout, const ByteView& image, std::uint64_t at) {
    return {.type = image.at<std::uint32_t>(at),
            .offset = layout.word(image, at + layout.offset),
            .file_size = layout.word(image, at + layout.file_size),
            .physical_address = layout.word(image, at + layout.physical_address),
            .memory_size = layout.word(image, at + layout.memory_size),
            .alignment = layout.word(image, at + layout.alignment)};
}

bool is(const ElfSegment& segment, ElfSegment::Type type) {
    return segment.type == static_cast<std::uint32_t>(type);
}

std::optional<ByteView> find_note_in(const ByteView& notes, std::string_view owner, std::uint32_t type) {
    std::uint64_t at = 0;
    while (notes.contains(at, 12)) {
        const std::uint64_t name_size = notes.at<std::uint32_t>(at);
        const std::uint64_t description_size = notes.at<std::uint32_t>(at + 4);
        const auto name = notes.slice(at + 12, name_size);
        const std::uint64_t description_at = at + 12 + align_up(name_size, 4);
        const auto description = notes.slice(description_at, description_size);
        if (!name || !description) {
            return std::nullopt;
        }
        const bool same_owner =
            name_size == owner.size() + 1 &&
            std::ranges::equal(name->first(owner.size()), std::as_bytes(std::span(owner)));
        if (same_owner && notes.at<std::uint32_t>(at + 8) == type) {
            return ByteView(*description);
        }
        at = description_at + align_up(description_size, 4);
    }
    return std::nullopt;
}

} // namespace

bool is_elf(const ByteView& image) { return image.at<std::uint32_t>(0) == elf_magic; }

Result<ElfFile> parse_elf(const Image& kernel) {
    const auto layout = layout_of(kernel);
    if (!layout) {
        return std::unexpected(layout.error());
    }
    const ByteView image(kernel.bytes);
    const std::uint64_t table = layout->word(image, layout->program_headers);
    const std::uint64_t entry_size = image.at<std::uint16_t>(layout->header_entry_size);
    const std::uint64_t count = image.at<std::uint16_t>(layout->header_count);
    if (entry_size != layout->header_size || count > max_segments ||
        !image.contains(table, count * entry_size)) {
        return bad(kernel, "the program headers are damaged or cut off");
    }
    ElfFile elf{.is64 = layout->is64, .entry = layout->word(image, layout->entry), .segments = {}};
    for (std::uint64_t i = 0; i < count; ++i) {
        const ElfSegment segment = read_segment(*layout, image, table + i * entry_size);
        if (!is(segment, ElfSegment::Type::load) && !is(segment, ElfSegment::Type::note)) {
            continue;
        }
        if (!image.contains(segment.offset, segment.file_size)) {
            return bad(kernel,
                       fmt::format("segment {} leaves the file, which has {} bytes", i, image.size()));
        }
        if (is(segment, ElfSegment::Type::load) && segment.memory_size < segment.file_size) {
            return bad(kernel, fmt::format("segment {} is smaller in memory than in the file", i));
        }
        elf.segments.push_back(segment);
    }
    return elf;
}

Result<void> load_segments(const ElfFile& elf, const Image& kernel, BootMemory& memory) {
    const ByteView image(kernel.bytes);
    bool any = false;
    for (const ElfSegment& segment : elf.segments) {
        if (!is(segment, ElfSegment::Type::load) || segment.memory_size == 0) {
            continue;
        }
        any = true;
        if (auto claimed =
                memory.claim(segment.physical_address, segment.memory_size, "kernel " + kernel.name);
            !claimed) {
            return claimed;
        }
        if (const auto contents = image.slice(segment.offset, segment.file_size)) {
            memory.write(segment.physical_address, *contents);
        }
        memory.fill_zero(segment.physical_address + segment.file_size,
                         segment.memory_size - segment.file_size);
    }
    if (!any) {
        return bad(kernel, "no loadable segment");
    }
    return {};
}

std::optional<ByteView> find_note(const ElfFile& elf, const Image& kernel, std::string_view owner,
                                  std::uint32_t type) {
    const ByteView image(kernel.bytes);
    for (const ElfSegment& segment : elf.segments) {
        if (!is(segment, ElfSegment::Type::note)) {
            continue;
        }
        if (const auto notes = image.slice(segment.offset, segment.file_size)) {
            if (const auto found = find_note_in(ByteView(*notes), owner, type)) {
                return found;
            }
        }
    }
    return std::nullopt;
}

} // namespace strata::machine::loader
