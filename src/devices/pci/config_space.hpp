// The 256 bytes of a function's configuration space: each register is declared once, with its reset value and
// which of its bits software may write. PCI Local Bus Specification 3.0, chapter 6.
#pragma once

#include "base/bytes.hpp"
#include "base/state_visitor.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace strata::devices::pci {

// Offsets of the type 0 header's registers (section 6.1).
namespace reg {
inline constexpr unsigned vendor_id = 0x00, device_id = 0x02, command = 0x04, status = 0x06,
                          revision_id = 0x08, class_code = 0x09, cache_line_size = 0x0C, latency_timer = 0x0D,
                          header_type = 0x0E, bist = 0x0F, bar0 = 0x10, subsystem_vendor_id = 0x2C,
                          subsystem_id = 0x2E, expansion_rom = 0x30, capabilities = 0x34,
                          interrupt_line = 0x3C, interrupt_pin = 0x3D;
}

namespace command {
inline constexpr std::uint16_t io = 1 << 0, memory = 1 << 1, bus_master = 1 << 2, parity_response = 1 << 6,
                               serr = 1 << 8, intx_disable = 1 << 10;
}

namespace status {
inline constexpr std::uint16_t interrupt = 1 << 3, capability_list = 1 << 4;
}

class ConfigSpace {
public:
    static constexpr unsigned size = 256;

    // Declares a register of `bytes` (1, 2 or 4) at `offset`.
    void define(unsigned offset, unsigned bytes, std::uint32_t reset, std::uint32_t writable = 0);

    // As software: `offset` + `bytes` <= 256.
    [[nodiscard]] std::uint32_t read(unsigned offset, unsigned bytes) const;
    void write(unsigned offset, unsigned bytes, std::uint32_t value);

    // As the device.
    template <std::unsigned_integral T>
    [[nodiscard]] T get(unsigned offset) const {
        return load_le<T>(&values_[offset]);
    }

    template <std::unsigned_integral T>
    void set(unsigned offset, T value) {
        store_le(&values_[offset], value);
    }

    void reset() { values_ = reset_; }

    void visit(StateVisitor& visitor);

private:
    using Bytes = std::array<std::uint8_t, size>;

    Bytes values_{}, reset_{}, writable_{};
};

} // namespace strata::devices::pci
