#include "devices/debug_exit.hpp"

namespace strata::devices {

std::vector<Region> DebugExit::regions() const {
    return {{"debug-exit", Space::port, 0xF4, 4, 1, 4}, {"debug-exit-bochs", Space::port, 0x501, 1, 1, 1}};
}

std::uint64_t DebugExit::read(unsigned /*region*/, std::uint64_t /*offset*/, unsigned /*size*/) { return 0; }

void DebugExit::write(unsigned /*region*/, std::uint64_t /*offset*/, unsigned /*size*/, std::uint64_t value) {
    // A process's exit status has eight bits.
    power_.exit_with(static_cast<int>(((value << 1) | 1) & 0xFF));
}

} // namespace strata::devices
