// What of the processor's state decoding depends on; part of the key under which blocks are cached.
#pragma once

#include <cstdint>

namespace strata::cpu::interpreter {

// Whether SSE or AVX instructions may execute at all (simd/availability.hpp): part of the mode that decoded
// blocks are keyed by, so that no handler asks.
enum class Availability : std::uint8_t { available, invalid_opcode, device_not_available };

// Which translations data accesses use: by privilege, without SMAP's limits, or none, so that each access is
// looked at.
enum class DataView : std::uint8_t { supervisor, user, supervisor_smap_off, never };

struct CodeMode {
    enum class Size : std::uint8_t { bits16, bits32, bits64 };
    Size size = Size::bits16;
    bool real_or_v86 = true;
    bool user = false; // not for decoding: blocks are linked only within one privilege
    Availability sse = Availability::available, avx = Availability::available;
    DataView data = DataView::supervisor; // not for decoding either: translated code has it built in

    static constexpr unsigned key_bits = 10;

    // A dense number of key_bits.
    [[nodiscard]] unsigned key() const {
        return static_cast<unsigned>(size) | unsigned{real_or_v86} << 2 | unsigned{user} << 3 |
               static_cast<unsigned>(sse) << 4 | static_cast<unsigned>(avx) << 6 |
               static_cast<unsigned>(data) << 8;
    }

    bool operator==(const CodeMode&) const = default;
};

} // namespace strata::cpu::interpreter
