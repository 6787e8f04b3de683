// Programs that keep secrets for container tools: docker-credential-NAME, called with a verb and a line on
// standard input, answering in JSON.
#pragma once

#include "image/registry/credentials.hpp"

namespace strata::image {

// Empty when the helper knows nothing of the server.
[[nodiscard]] Result<Credentials> ask_helper(const std::string& helper, const std::string& server);
[[nodiscard]] Result<void> tell_helper(const std::string& helper, const std::string& server,
                                       const Credentials& credentials);
[[nodiscard]] Result<void> erase_from_helper(const std::string& helper, const std::string& server);

} // namespace strata::image
