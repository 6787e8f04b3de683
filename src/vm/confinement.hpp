// What the monitor gives up once a machine is built: it shall be of little use to a guest that takes it over.
#pragma once

#include "base/error.hpp"

namespace strata::vm {

struct Confinement {
    bool generates_code = true; // the engine maps memory that it executes
    bool kvm = false;           // the engine asks /dev/kvm's descriptors
};

// From here on all threads of this process can make only the system calls that a running machine needs, and
// no program started from it gains privileges. For good. seccomp(2), "Filters"; no_new_privs(2const).
[[nodiscard]] Result<void> confine(const Confinement& confinement);

} // namespace strata::vm
