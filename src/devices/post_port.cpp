#include "devices/post_port.hpp"

namespace strata::devices {

std::vector<Region> PostPort::regions() const { return {{"post", Space::port, 0x80, 16, 1, 1}}; }

std::uint64_t PostPort::read(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/) {
    return latches_[offset % latches_.size()];
}

void PostPort::write(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/, std::uint64_t value) {
    latches_[offset % latches_.size()] = static_cast<std::uint8_t>(value);
}

} // namespace strata::devices
