// What the subcommands share: the exit statuses, and how an error is told.
#pragma once

#include "strata/error.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>

namespace strata::cli {

inline constexpr int success = 0, failure = 1, bad_argument = 2, interrupted = 130;

// Filled in by the subcommand that ran.
struct Outcome {
    int status = success;
    // What is to be done when the command line's own objects are gone, and its exit status: a process that
    // stays, as a container's monitor does, shall not keep them.
    std::function<int()> later{};
};

// Writes the error to standard error as one line, the hint on a line of its own; returns `status`.
int report(const Error& error, int status);

} // namespace strata::cli
