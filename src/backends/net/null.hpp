// A network with nobody on it.
#pragma once

#include "backends/net/net.hpp"

namespace strata::backends {

class NullNet final : public NetBackend {
public:
    void send(std::span<const std::byte> /*frame*/) override {}
};

} // namespace strata::backends
