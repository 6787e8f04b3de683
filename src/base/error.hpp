// Errors as values: what happened, to which object, and what the user can do about it.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

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

[[nodiscard]] inline std::unexpected<Error> fail(std::string message, std::string hint = {}) {
    return std::unexpected(Error{std::move(message), std::move(hint), 0});
}

// The failure of a system call on `object`: "cannot open a.img: No such file or directory".
[[nodiscard]] inline std::unexpected<Error> fail_errno(std::string_view action, std::string_view object,
                                                       int code = errno, std::string hint = {}) {
    std::string text = "cannot ";
    text.append(action).append(" ").append(object).append(": ").append(std::generic_category().message(code));
    return std::unexpected(Error{std::move(text), std::move(hint), code});
}

} // namespace strata
