// What FXSAVE, XSAVE and their counterparts share: the operand in memory, and which registers the mode has.
#pragma once

#include "cpu/interpreter/memory_block.hpp"
#include "cpu/interpreter/rows.hpp"
#include "cpu/x86/mxcsr.hpp"
#include "cpu/x86/xsave_area.hpp"

#include <array>
#include <optional>
#include <span>

namespace strata::cpu::interpreter {

Rows fxsave_rows(); // FXSAVE, FXRSTOR
Rows xsave_rows();  // XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS

// A save area in guest memory, worked on in a copy: parts are read before the processor's state changes, and
// written after all of them have been found writable.
class SaveArea {
public:
    // #GP(0) unless the operand is aligned.
    SaveArea(Cpu& cpu, const Insn& insn, unsigned alignment);

    [[nodiscard]] std::uint8_t* bytes() { return bytes_.data(); }

    void read(x86::xsave_area::Extent part);
    void probe(x86::xsave_area::Extent part); // faults as a write does

    // The part of the copy is written by commit().
    void add(x86::xsave_area::Extent part) { parts_[part_count_++] = part; }

    void commit();

private:
    // Null: it has to be accessed a piece at a time.
    [[nodiscard]] std::byte* direct(x86::xsave_area::Extent part, Access access);

    Cpu& cpu_;
    unsigned segment_;
    std::uint64_t offset_;
    std::array<std::uint8_t, x86::xsave_area::size> bytes_; // as far as read or added
    std::array<x86::xsave_area::Extent, 6> parts_{};
    unsigned part_count_ = 0;
    // Of the area, from its beginning on: what can be read, and written, as it is.
    std::array<std::optional<std::span<std::byte>>, 2> direct_;
};

// Registers 8 to 15 exist, and are saved, in 64-bit mode only.
[[nodiscard]] inline unsigned vector_register_count(const Cpu& cpu) { return cpu.code64() ? 16 : 8; }

[[nodiscard]] inline x86::xsave_area::Extent present_registers(const Cpu& cpu,
                                                               x86::xsave_area::Extent registers) {
    return {registers.offset, 16 * vector_register_count(cpu)};
}

[[nodiscard]] inline x86::xsave_area::Pointers pointer_format(const Insn& insn) {
    constexpr unsigned quadword = 3;
    return insn.operand_size == quadword ? x86::xsave_area::Pointers::wide
                                         : x86::xsave_area::Pointers::with_selectors;
}

// The bits of MXCSR that software may set; MXCSR_MASK.
[[nodiscard]] inline std::uint32_t writable_mxcsr(const Cpu& cpu) {
    return cpu.model().has(x86::Feature::misalignsse) ? x86::mxcsr::writable_misaligned
                                                      : x86::mxcsr::writable;
}

inline void put_mxcsr(SaveArea& area, const Cpu& cpu) {
    std::uint8_t* to = area.bytes() + x86::xsave_area::mxcsr_and_mask.offset;
    store_le(to, cpu.mxcsr());
    store_le(to + 4, writable_mxcsr(cpu));
}

// The area's MXCSR; #GP(0) if reserved bits are set.
[[nodiscard]] std::uint32_t checked_mxcsr(Cpu& cpu, SaveArea& area);

} // namespace strata::cpu::interpreter
