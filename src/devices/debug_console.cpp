#include "devices/debug_console.hpp"

namespace strata::devices {

DebugConsole::DebugConsole(const Environment& environment, backends::CharBackend* backend)
    : output_(environment, backend) {}

std::vector<Region> DebugConsole::regions() const {
    return {{"debugcon-bochs", Space::port, 0xE9, 1, 1, 1}, {"debugcon", Space::port, 0x402, 1, 1, 1}};
}

std::uint64_t DebugConsole::read(unsigned /*region*/, std::uint64_t /*offset*/, unsigned /*size*/) {
    return present;
}

void DebugConsole::write(unsigned /*region*/, std::uint64_t /*offset*/, unsigned /*size*/,
                         std::uint64_t value) {
    output_.put(static_cast<std::uint8_t>(value));
}

} // namespace strata::devices
