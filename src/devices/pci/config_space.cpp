#include "devices/pci/config_space.hpp"

namespace strata::devices::pci {

void ConfigSpace::define(unsigned offset, unsigned bytes, std::uint32_t reset, std::uint32_t writable) {
    for (unsigned i = 0; i < bytes; ++i) {
        values_[offset + i] = reset_[offset + i] = static_cast<std::uint8_t>(reset >> (i * 8));
        writable_[offset + i] = static_cast<std::uint8_t>(writable >> (i * 8));
    }
}

std::uint32_t ConfigSpace::read(unsigned offset, unsigned bytes) const {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) {
        value |= std::uint32_t{values_[offset + i]} << (i * 8);
    }
    return value;
}

void ConfigSpace::write(unsigned offset, unsigned bytes, std::uint32_t value) {
    for (unsigned i = 0; i < bytes; ++i) {
        const auto given = static_cast<std::uint8_t>(value >> (i * 8));
        const std::uint8_t mask = writable_[offset + i];
        values_[offset + i] = static_cast<std::uint8_t>((values_[offset + i] & ~mask) | (given & mask));
    }
}

void ConfigSpace::visit(StateVisitor& visitor) {
    // What the saver's device could not have had, this one must not get: read-only bits stay as declared.
    const Bytes before = values_;
    visitor.field("config", values_);
    if (visitor.loading()) {
        // The status register's bits change without being writable.
        constexpr unsigned interrupt_status = reg::status;
        for (unsigned i = 0; i < size; ++i) {
            const auto fixed = static_cast<std::uint8_t>(~writable_[i]);
            if (i != interrupt_status && ((values_[i] ^ reset_[i]) & fixed) != 0) {
                values_ = before;
                visitor.refuse("config");
                return;
            }
        }
    }
}

} // namespace strata::devices::pci
