// The files that a direct boot needs, read when the machine starts and again at each reset.
#pragma once

#include "base/error.hpp"
#include "machine/loader/loader.hpp"
#include "strata/machine.hpp"

#include <cstddef>
#include <vector>

namespace strata::vm {

class BootFiles {
public:
    [[nodiscard]] static Result<BootFiles> read(const MachineConfig& config);

    // Refers to the files held here.
    [[nodiscard]] const machine::loader::BootRequest& request() const { return request_; }

private:
    std::vector<std::vector<std::byte>> contents_;
    machine::loader::BootRequest request_;
};

} // namespace strata::vm
