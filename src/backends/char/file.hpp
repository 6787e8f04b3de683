// A console whose output goes to a file.
#pragma once

#include "backends/char/char.hpp"

namespace strata::backends {

// Empties the file first.
[[nodiscard]] Result<std::unique_ptr<CharBackend>> open_file(EventLoop& loop, const std::string& path);

} // namespace strata::backends
