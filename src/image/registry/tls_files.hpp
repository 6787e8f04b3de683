// Certificates for a registry in the directories where users of container tools keep them:
// /etc/{strata,containers,docker}/certs.d/HOST[:PORT]/{*.crt,*.cert,*.key}, and the same below ~/.config.
#pragma once

#include <string>

namespace strata::image {

struct TlsFiles {
    std::string ca{};                 // vouches for the registry
    std::string certificate{}, key{}; // what the client shows
};

[[nodiscard]] TlsFiles find_tls_files(const std::string& host);

} // namespace strata::image
