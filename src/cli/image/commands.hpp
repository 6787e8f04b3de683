// The commands about images, each in a file of its own.
#pragma once

#include "cli/command.hpp"

namespace strata::cli {

void add_image_commands(CLI::App& root, Outcome& outcome);

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
void add_save(CLI::App& root, Outcome& outcome);
void add_search(CLI::App& root, Outcome& outcome);
void add_tag(CLI::App& root, Outcome& outcome);

} // namespace strata::cli
