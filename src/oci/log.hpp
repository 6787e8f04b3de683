// How errors reach the caller.
#pragma once

#include "oci/command.hpp"

namespace strata::oci {

// One line to standard error, and one to --log: {"level":"error","msg":...,"time":...} with --log-format
// json.
void report(const Globals& globals, const Error& error);

} // namespace strata::oci
