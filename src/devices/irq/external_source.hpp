// What answers an interrupt acknowledge cycle outside the local APIC: the 8259 pair.
#pragma once

#include <cstdint>

namespace strata::devices {

class ExternalInterruptSource {
public:
    virtual ~ExternalInterruptSource() = default;
    // The vector; the controller takes the request into service.
    virtual std::uint8_t acknowledge() = 0;
};

} // namespace strata::devices
