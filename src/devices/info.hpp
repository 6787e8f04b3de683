// One row of `strata devices`: what a device is called and what it is.
#pragma once

#include <string_view>

namespace strata::devices {

struct DeviceInfo {
    std::string_view name;        // as on the command line and in snapshots
    std::string_view description; // one line
};

} // namespace strata::devices
