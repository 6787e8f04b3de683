// How errors are made; what they are is part of the public interface.
#pragma once

#include "strata/error.hpp"

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace strata {

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
