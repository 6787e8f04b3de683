#include "devices/pvpanic.hpp"

namespace strata::devices {
namespace {

constexpr std::uint8_t panicked = 1 << 0;     // the guest stops here
constexpr std::uint8_t crash_loaded = 1 << 1; // the guest panicked and runs its own crash kernel now

} // namespace

std::vector<Region> PvPanic::regions() const { return {{"pvpanic", Space::port, port, 1, 1, 1}}; }

std::uint64_t PvPanic::read(unsigned /*region*/, std::uint64_t /*offset*/, unsigned /*size*/) {
    return panicked | crash_loaded; // the events that the host understands
}

void PvPanic::write(unsigned /*region*/, std::uint64_t /*offset*/, unsigned /*size*/, std::uint64_t value) {
    if (value & panicked) {
        power_.panicked();
    }
}

} // namespace strata::devices
