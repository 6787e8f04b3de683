// Who a user is to a registry, kept where Docker's and Podman's users keep it: $DOCKER_CONFIG/config.json or
// ~/.docker/config.json (with credential helpers), and for reading $REGISTRY_AUTH_FILE and
// $XDG_RUNTIME_DIR/containers/auth.json as well.
#pragma once

#include "base/error.hpp"

#include <string>
#include <string_view>

namespace strata::image {

struct Credentials {
    std::string user{}, secret{};
    std::string identity_token{}; // instead of both

    [[nodiscard]] bool empty() const { return user.empty() && identity_token.empty(); }
};

// Empty when nothing is known of the registry.
[[nodiscard]] Result<Credentials> find_credentials(const std::string& registry);
// Returns where they were put.
[[nodiscard]] Result<std::string> keep_credentials(const std::string& registry,
                                                   const Credentials& credentials);
// Returns whether there were any.
[[nodiscard]] Result<bool> forget_credentials(const std::string& registry);

[[nodiscard]] std::string base64_encode(std::string_view text);
[[nodiscard]] Result<std::string> base64_decode(std::string_view text);

} // namespace strata::image
