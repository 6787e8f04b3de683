// `strata oci`: the container runtime's own command line.
#pragma once

#include "cli/command.hpp"

namespace strata::cli {

// `strata oci …`, and strata called by the name strata-oci: hands over to the executable strata-oci, which is
// beside this one. Its arguments are not read here, so this comes before the command line is parsed. Returns
// if it is neither.
void hand_over_to_oci(int argc, char** argv);

// Its place in --help and completion.
void add_oci(CLI::App& root, Outcome& outcome);

} // namespace strata::cli
