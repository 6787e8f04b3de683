// A console with nobody at it.
#pragma once

#include "backends/char/char.hpp"

namespace strata::backends {

class NullChar final : public CharBackend {
public:
    void write(std::span<const std::byte> /*bytes*/) override {}
};

} // namespace strata::backends
