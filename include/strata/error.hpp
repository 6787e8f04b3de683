// Errors as values: what happened, to which object, and what the user can do about it.
#pragma once

#include <expected>
#include <string>

namespace strata {

// An error that reaches a user. `message` is one line that names the object ("disk a.qcow2: bad magic");
// `hint` is what to do next, or empty. `code` is an errno value where a system call failed, else 0.
struct Error {
    std::string message;
    std::string hint{};
    int code = 0;
};

template <class T>
using Result = std::expected<T, Error>;

} // namespace strata
