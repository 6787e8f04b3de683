// The subcommands about containers, each in a file of its own.
#pragma once

#include "cli/command.hpp"

namespace strata::cli {

void add_container_files(CLI::App& root, Outcome& outcome); // cp, diff, export, commit
void add_create(CLI::App& root, Outcome& outcome);
void add_events(CLI::App& root, Outcome& outcome);
void add_exec(CLI::App& root, Outcome& outcome);
void add_life_cycle(CLI::App& root,
                    Outcome& outcome); // start, stop, restart, kill, pause, unpause, wait, rm, rename
void add_logs(CLI::App& root, Outcome& outcome); // and attach
void add_network(CLI::App& root, Outcome& outcome);
void add_ps(CLI::App& root, Outcome& outcome); // and top, port
void add_update(CLI::App& root, Outcome& outcome);
void add_volume(CLI::App& root, Outcome& outcome);

} // namespace strata::cli
