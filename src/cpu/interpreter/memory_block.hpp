// Memory operands larger than a register: moved in pieces of one Chunk, but as one access, which faults
// before the first piece is written.
#pragma once

#include "base/bits.hpp"
#include "cpu/interpreter/cpu.hpp"

#include <cstring>
#include <span>

namespace strata::cpu::interpreter {

// Faults as an access to [segment:offset, + size) would, but for its alignment; `size` is at most a page.
inline void probe_block(Cpu& cpu, unsigned segment, std::uint64_t offset, unsigned size, Access access) {
    const std::uint64_t first = cpu.linear(segment, offset, size, access);
    const std::uint64_t last = first + size - 1, last_page = align_down(last, memory::page_size);
    if (!cpu.canonical(last)) {
        cpu.probe_at(last, 1, access, segment); // before any page
    }
    cpu.probe_at(first, 1, access, segment);
    if (last_page > first) {
        cpu.probe_at(last_page, 1, access, segment);
    }
}

// `bytes` is a multiple of Chunk long.
template <class Chunk>
void store_block(Cpu& cpu, unsigned segment, std::uint64_t offset, std::span<const std::uint8_t> bytes) {
    probe_block(cpu, segment, offset, static_cast<unsigned>(bytes.size()), Access::write);
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(Chunk)) {
        Chunk chunk;
        std::memcpy(&chunk, bytes.data() + i, sizeof chunk);
        cpu.store<Chunk>(segment, offset + i, chunk);
    }
}

template <class Chunk>
void load_block(Cpu& cpu, unsigned segment, std::uint64_t offset, std::span<std::uint8_t> bytes) {
    probe_block(cpu, segment, offset, static_cast<unsigned>(bytes.size()), Access::read);
    for (std::size_t i = 0; i < bytes.size(); i += sizeof(Chunk)) {
        const auto chunk = cpu.load<Chunk>(segment, offset + i);
        std::memcpy(bytes.data() + i, &chunk, sizeof chunk);
    }
}

} // namespace strata::cpu::interpreter
