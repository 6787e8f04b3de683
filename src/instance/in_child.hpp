// What a process should not do itself, since it can do it only once (leave its namespaces), or may be killed
// meanwhile: done in a child.
#pragma once

#include "base/error.hpp"

#include <functional>
#include <string>

namespace strata::instance {

// Does it in a new process, waits for its end, and gives what it gave. This process must have one thread.
[[nodiscard]] Result<std::string> in_child(const std::function<Result<std::string>()>& act);

} // namespace strata::instance
