// MSI-X: the table of messages, its pending bits, and the masking of both. PCI Local Bus Specification 3.0,
// section 6.8.2.
#pragma once

#include "devices/device.hpp"

#include <cstdint>
#include <vector>

namespace strata::devices::pci {

inline constexpr unsigned msix_capability_id = 0x11;
inline constexpr unsigned msix_max_vectors = 2048;

class Msix {
public:
    // Of the message control register.
    static constexpr std::uint16_t enable_bit = 1 << 15, function_mask_bit = 1 << 14;

    // 1 to msix_max_vectors vectors.
    Msix(MsiSink& sink, unsigned vectors);

    [[nodiscard]] unsigned vectors() const { return static_cast<unsigned>(entries_.size()); }

    // The region that holds both: the table at 0, the pending bits at pba_offset().
    [[nodiscard]] std::uint64_t region_size() const;

    [[nodiscard]] std::uint64_t pba_offset() const { return region_size() / 2; }

    // Aligned accesses of 4 or 8 bytes.
    [[nodiscard]] std::uint64_t read(std::uint64_t offset, unsigned size) const;
    void write(std::uint64_t offset, unsigned size, std::uint64_t value);

    // Follows message control and the command register: messages leave when the function may send them.
    void set_open(bool enabled, bool open);

    [[nodiscard]] bool enabled() const { return enabled_; }

    // Sends the vector's message, now or when it is unmasked. Vectors out of range are ignored.
    void notify(unsigned vector);

    void reset();
    void visit(StateVisitor& visitor);

private:
    struct Entry {
        std::uint64_t address = 0;
        std::uint32_t data = 0;
        std::uint32_t control = 1; // bit 0: masked
        bool pending = false;
    };

    [[nodiscard]] std::uint32_t read_word(std::uint64_t offset) const;
    void write_word(std::uint64_t offset, std::uint32_t value);
    void send_if_open(Entry& entry);

    MsiSink& sink_;
    std::vector<Entry> entries_;
    bool enabled_ = false; // MSI-X is what the function interrupts by
    bool open_ = false;    // and may do so now
};

} // namespace strata::devices::pci
