// What the subcommands share: each file adds one to the command line and leaves its exit status.
#pragma once

#include "strata/error.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace strata::cli {

inline constexpr int success = 0, failure = 1, bad_argument = 2;

// Filled in by the subcommand that ran.
struct Outcome {
    int status = success;
};

void add_run(CLI::App& root, Outcome& outcome);
void add_engines(CLI::App& root, Outcome& outcome);
void add_cpus(CLI::App& root, Outcome& outcome);
void add_devices(CLI::App& root, Outcome& outcome);
void add_disk(CLI::App& root, Outcome& outcome);
void add_version(CLI::App& root, Outcome& outcome);
void add_completion(CLI::App& root, Outcome& outcome);

// Writes the error to standard error, the hint on a line of its own; returns `status`.
int report(const Error& error, int status);

} // namespace strata::cli
