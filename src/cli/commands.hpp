// The subcommands, each in a file of its own: it adds itself to the command line, and leaves its exit status.
// A new one is declared here and listed in commands.cpp.
#pragma once

#include "cli/command.hpp"

namespace strata::cli {

// All of them, in groups as --help shows them.
void add_commands(CLI::App& root, Outcome& outcome);

void add_completion(CLI::App& root, Outcome& outcome);
void add_cpus(CLI::App& root, Outcome& outcome);
void add_debug(CLI::App& root, Outcome& outcome);
void add_debug_reduce(CLI::App& debug, Outcome& outcome); // below debug
void add_devices(CLI::App& root, Outcome& outcome);
void add_disk(CLI::App& root, Outcome& outcome);
void add_engine(CLI::App& root, Outcome& outcome);
void add_stats(CLI::App& root, Outcome& outcome);
void add_engines(CLI::App& root, Outcome& outcome);
void add_history(CLI::App& root, Outcome& outcome);
void add_images(CLI::App& root, Outcome& outcome);
void add_import(CLI::App& root, Outcome& outcome);
void add_inspect(CLI::App& root, Outcome& outcome);
void add_load(CLI::App& root, Outcome& outcome);
void add_login(CLI::App& root, Outcome& outcome); // and logout
void add_prune(CLI::App& root, Outcome& outcome);
void add_pull(CLI::App& root, Outcome& outcome);
void add_push(CLI::App& root, Outcome& outcome);
void add_rmi(CLI::App& root, Outcome& outcome);
void add_run(CLI::App& root, Outcome& outcome);
void add_save(CLI::App& root, Outcome& outcome);
void add_search(CLI::App& root, Outcome& outcome);
void add_tag(CLI::App& root, Outcome& outcome);
void add_version(CLI::App& root, Outcome& outcome);

} // namespace strata::cli
