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

void SaveArea::read(Extent part) {
    load_block<Chunk>(cpu_, segment_, offset_ + part.offset, {bytes_.data() + part.offset, part.size});
}

void SaveArea::probe(Extent part) const {
    probe_block(cpu_, segment_, offset_ + part.offset, part.size, Access::write);
}

void SaveArea::commit() {
    const std::span parts(parts_.data(), part_count_);
    for (const Extent part : parts) {
        probe(part);
    }
    for (const Extent part : parts) {
        store_block<Chunk>(cpu_, segment_, offset_ + part.offset, {bytes_.data() + part.offset, part.size});
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
