#include "backends/net/slirp.hpp"

#include "base/late_library.hpp"

namespace strata::backends {
namespace {

Result<SlirpLibrary> load_now() {
    auto library = LateLibrary::open("libslirp.so.0", "libslirp0");
    if (!library) {
        return std::unexpected(library.error());
    }
    SlirpLibrary slirp{};
    library->find("slirp_new", slirp.create)
        .find("slirp_cleanup", slirp.cleanup)
        .find("slirp_input", slirp.input)
        .find("slirp_add_hostfwd", slirp.add_hostfwd)
        .find("slirp_pollfds_fill", slirp.pollfds_fill)
        .find("slirp_pollfds_poll", slirp.pollfds_poll);
    if (auto found = library->complete(); !found) {
        return std::unexpected(found.error());
    }
    return slirp;
}

} // namespace

const Result<SlirpLibrary>& SlirpLibrary::load() {
    static const Result<SlirpLibrary> slirp = load_now();
    return slirp;
}

} // namespace strata::backends
