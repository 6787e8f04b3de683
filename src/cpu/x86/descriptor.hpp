// Segment descriptors, gates and selectors as they lie in memory. SDM volume 3
// sections 3.4.2, 3.4.5, 3.5, 6.11, 7.2.2 and 7.2.5.
#pragma once

#include "base/bits.hpp"
#include "cpu/x86/state.hpp"

#include <cstdint>

namespace strata::cpu::x86 {

[[nodiscard]] constexpr unsigned rpl_of(std::uint16_t selector) { return selector & 3; }

[[nodiscard]] constexpr bool is_null(std::uint16_t selector) { return (selector & ~3U) == 0; }

[[nodiscard]] constexpr bool is_local(std::uint16_t selector) { return selector & 4; } // in the LDT

// A selector as error codes hold it: without its RPL.
[[nodiscard]] constexpr std::uint32_t selector_error(std::uint16_t selector) { return selector & ~3U; }

[[nodiscard]] constexpr std::uint16_t with_rpl(std::uint16_t selector, unsigned rpl) {
    return static_cast<std::uint16_t>((selector & ~3U) | rpl);
}

// Types of system descriptors (S = 0). Long mode has only ldt, the 32-bit TSS types and the 32-bit gates, all
// of which are then 64-bit.
enum class SystemType : std::uint8_t {
    tss16_available = 1,
    ldt = 2,
    tss16_busy = 3,
    call_gate16 = 4,
    task_gate = 5,
    interrupt_gate16 = 6,
    trap_gate16 = 7,
    tss32_available = 9,
    tss32_busy = 0xB,
    call_gate32 = 0xC,
    interrupt_gate32 = 0xE,
    trap_gate32 = 0xF,
};

// Bits of a segment's type when S = 1.
namespace segment_type {
inline constexpr unsigned accessed = 1, writable = 2, readable = 2, expand_down = 4, conforming = 4, code = 8;
}

// The first eight bytes of a descriptor; `high` is the rest of a 16-byte one.
struct Descriptor {
    std::uint64_t low = 0, high = 0;

    [[nodiscard]] constexpr unsigned type() const { return static_cast<unsigned>(bits(low, 43, 40)); }

    [[nodiscard]] constexpr SystemType system_type() const { return static_cast<SystemType>(type()); }

    [[nodiscard]] constexpr bool is_code_or_data() const { return test_bit(low, 44); }

    [[nodiscard]] constexpr bool is_system() const { return !is_code_or_data(); }

    [[nodiscard]] constexpr unsigned dpl() const { return static_cast<unsigned>(bits(low, 46, 45)); }

    [[nodiscard]] constexpr bool present() const { return test_bit(low, 47); }

    [[nodiscard]] constexpr bool long_mode() const { return test_bit(low, 53); }

    [[nodiscard]] constexpr bool big() const { return test_bit(low, 54); }

    [[nodiscard]] constexpr bool is_code() const {
        return is_code_or_data() && (type() & segment_type::code) != 0;
    }

    [[nodiscard]] constexpr bool is_conforming_code() const {
        return is_code() && (type() & segment_type::conforming) != 0;
    }

    [[nodiscard]] constexpr bool is_writable_data() const {
        return is_code_or_data() && !is_code() && (type() & segment_type::writable) != 0;
    }

    [[nodiscard]] constexpr bool is_readable() const {
        return is_code_or_data() && (!is_code() || (type() & segment_type::readable) != 0);
    }

    [[nodiscard]] constexpr std::uint64_t base() const {
        return bits(low, 39, 16) | bits(low, 63, 56) << 24 | high << 32;
    }

    // The limit in bytes.
    [[nodiscard]] constexpr std::uint32_t limit() const {
        const auto raw = static_cast<std::uint32_t>(bits(low, 15, 0) | bits(low, 51, 48) << 16);
        return test_bit(low, 55) ? raw << 12 | 0xFFF : raw;
    }

    [[nodiscard]] constexpr std::uint16_t attributes() const {
        return static_cast<std::uint16_t>(bits(low, 55, 40) & 0xF0FF);
    }

    // ---- gates ----
    [[nodiscard]] constexpr std::uint16_t gate_selector() const {
        return static_cast<std::uint16_t>(bits(low, 31, 16));
    }

    // 16-bit gates have type bit 3 clear.
    [[nodiscard]] constexpr bool is_wide_gate() const { return (type() & 8) != 0; }

    [[nodiscard]] constexpr std::uint64_t gate_offset() const {
        return bits(low, 15, 0) | (is_wide_gate() ? bits(low, 63, 48) << 16 : 0) | high << 32;
    }

    [[nodiscard]] constexpr unsigned parameter_count() const {
        return static_cast<unsigned>(bits(low, 36, 32));
    }

    [[nodiscard]] constexpr unsigned interrupt_stack() const {
        return static_cast<unsigned>(bits(low, 34, 32));
    }

    // The segment register that this descriptor fills.
    [[nodiscard]] constexpr Segment segment(std::uint16_t selector) const {
        return {.selector = selector, .base = base(), .limit = limit(), .attributes = attributes()};
    }
};

// A segment register after a null selector was loaded.
[[nodiscard]] constexpr Segment null_segment(std::uint16_t selector, unsigned dpl = 0) {
    return {.selector = selector,
            .base = 0,
            .limit = 0,
            .attributes = static_cast<std::uint16_t>(dpl << 5),
            .unusable = true};
}

// As virtual-8086 mode loads every segment register.
[[nodiscard]] constexpr Segment v86_segment(std::uint16_t selector) {
    return {.selector = selector, .base = std::uint64_t{selector} << 4, .limit = 0xFFFF, .attributes = 0xF3};
}

// Bits of the error codes that name a descriptor. SDM volume 3 section 6.13.
namespace selector_error_bit {
inline constexpr std::uint32_t external = 1, idt = 2;
}

} // namespace strata::cpu::x86
