#include "cpu/interpreter/extended_state.hpp"

namespace strata::cpu::interpreter {

using x86::xsave_area::Extent;

namespace {

using Chunk = std::uint64_t; // every part is a multiple of it

} // namespace

SaveArea::SaveArea(Cpu& cpu, const Insn& insn, unsigned alignment)
    : cpu_(cpu), segment_(insn.segment), offset_(cpu.effective_address(insn)) {
    if (cpu.linear(segment_, offset_, 1, Access::read) % alignment != 0) {
        cpu.raise_gp();
    }
}

std::byte* SaveArea::direct(Extent part, Access access) {
    auto& known = direct_[access == Access::write];
    if (!known) {
        known = cpu_.direct(segment_, offset_, access, x86::xsave_area::size);
    }
    return known->size() >= part.offset + part.size ? known->data() + part.offset : nullptr;
}

void SaveArea::read(Extent part) {
    std::uint8_t* const to = bytes_.data() + part.offset;
    if (const std::byte* from = direct(part, Access::read)) [[likely]] {
        memory::copy_from_guest(to, from, part.size);
    } else {
        load_block<Chunk>(cpu_, segment_, offset_ + part.offset, {to, part.size});
    }
}

void SaveArea::probe(Extent part) {
    if (direct(part, Access::write) == nullptr) {
        probe_block(cpu_, segment_, offset_ + part.offset, part.size, Access::write);
    }
}

void SaveArea::commit() {
    const std::span parts(parts_.data(), part_count_);
    for (const Extent part : parts) {
        probe(part);
    }
    for (const Extent part : parts) {
        const std::uint8_t* const from = bytes_.data() + part.offset;
        if (std::byte* to = direct(part, Access::write)) [[likely]] {
            memory::copy_to_guest(to, from, part.size);
        } else {
            store_block<Chunk>(cpu_, segment_, offset_ + part.offset, {from, part.size});
        }
    }
}

std::uint32_t checked_mxcsr(Cpu& cpu, SaveArea& area) {
    const auto value = load_le<std::uint32_t>(area.bytes() + x86::xsave_area::mxcsr_and_mask.offset);
    if (value & ~writable_mxcsr(cpu)) {
        cpu.raise_gp();
    }
    return value;
}

} // namespace strata::cpu::interpreter
