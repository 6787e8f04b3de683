// What a process can only do once, such as leave its namespaces: done in a child.
#pragma once

#include "base/error.hpp"

#include <functional>

namespace strata::instance {

// Does it in a new process, and waits for its end. This process must have one thread.
[[nodiscard]] Result<void> in_child(const std::function<Result<void>()>& act);

} // namespace strata::instance
