// Small ELF executables of either class.
#pragma once

#include "boot_fixture.hpp"

namespace strata::machine::test {

struct ElfSegmentSpec {
    std::uint32_t type;
    std::uint64_t physical_address, memory_size;
    Bytes contents;
};

inline Bytes elf64(std::uint64_t entry, const std::vector<ElfSegmentSpec>& segments) {
    Bytes image(64);
    put<std::uint32_t>(image, 0, 0x464C'457F);
    put<std::uint16_t>(image, 4, 0x0102); // 64 bits, little-endian
    put<std::uint16_t>(image, 0x10, 2);
    put<std::uint16_t>(image, 0x12, 62);
    put(image, 0x18, entry);
    put<std::uint64_t>(image, 0x20, 64);
    put<std::uint16_t>(image, 0x36, 56);
    put(image, 0x38, static_cast<std::uint16_t>(segments.size()));
    std::size_t data = 64 + 56 * segments.size();
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const std::size_t at = 64 + 56 * i;
        put(image, at, segments[i].type);
        put<std::uint64_t>(image, at + 0x08, data);
        put(image, at + 0x18, segments[i].physical_address);
        put<std::uint64_t>(image, at + 0x20, segments[i].contents.size());
        put(image, at + 0x28, segments[i].memory_size);
        data += segments[i].contents.size();
    }
    image.resize(64 + 56 * segments.size());
    for (const auto& segment : segments) {
        image.insert(image.end(), segment.contents.begin(), segment.contents.end());
    }
    return image;
}

inline Bytes elf32(std::uint32_t entry, const std::vector<ElfSegmentSpec>& segments) {
    Bytes image(52);
    put<std::uint32_t>(image, 0, 0x464C'457F);
    put<std::uint16_t>(image, 4, 0x0101); // 32 bits, little-endian
    put<std::uint16_t>(image, 0x10, 2);
    put<std::uint16_t>(image, 0x12, 3);
    put(image, 0x18, entry);
    put<std::uint32_t>(image, 0x1C, 52);
    put<std::uint16_t>(image, 0x2A, 32);
    put(image, 0x2C, static_cast<std::uint16_t>(segments.size()));
    std::size_t data = 52 + 32 * segments.size();
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const std::size_t at = 52 + 32 * i;
        put(image, at, segments[i].type);
        put(image, at + 0x04, static_cast<std::uint32_t>(data));
        put(image, at + 0x0C, static_cast<std::uint32_t>(segments[i].physical_address));
        put(image, at + 0x10, static_cast<std::uint32_t>(segments[i].contents.size()));
        put(image, at + 0x14, static_cast<std::uint32_t>(segments[i].memory_size));
        data += segments[i].contents.size();
    }
    image.resize(52 + 32 * segments.size());
    for (const auto& segment : segments) {
        image.insert(image.end(), segment.contents.begin(), segment.contents.end());
    }
    return image;
}

} // namespace strata::machine::test
