// All that is known of an image, as Docker's client writes it.
#pragma once

#include "cli/image/context.hpp"

#include <nlohmann/json.hpp>

namespace strata::cli {

// `platform` chooses from an image for many; empty for this host's.
[[nodiscard]] Result<nlohmann::json> describe_image(const Images& images, const std::string& name,
                                                    const std::string& platform);

} // namespace strata::cli
