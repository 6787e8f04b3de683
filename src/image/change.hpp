// Changes of an image's configuration, written as instructions of a Dockerfile: CMD ["sh"], ENV A=b, EXPOSE
// 80, …
#pragma once

#include "image/config.hpp"

#include <string_view>

namespace strata::image {

[[nodiscard]] Result<void> apply_change(RunConfig& run, std::string_view instruction);

} // namespace strata::image
