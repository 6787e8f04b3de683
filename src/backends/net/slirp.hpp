// libslirp, loaded by the first user-mode network.
#pragma once

#include "base/error.hpp"

#include <slirp/libslirp.h>

namespace strata::backends {

// Its functions, by their names without "slirp_".
struct SlirpLibrary {
    decltype(&slirp_new) create;
    decltype(&slirp_cleanup) cleanup;
    decltype(&slirp_input) input;
    decltype(&slirp_add_hostfwd) add_hostfwd;
    decltype(&slirp_pollfds_fill) pollfds_fill;
    decltype(&slirp_pollfds_poll) pollfds_poll;

    // Any thread. The same answer each time.
    [[nodiscard]] static const Result<SlirpLibrary>& load();
};

} // namespace strata::backends
