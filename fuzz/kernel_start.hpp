// What a kernel has set up before the fuzzed code runs: system calls and handlers that return. Without it
// whatever leaves the code ends the run, and no SYSCALL is as kernels have them.
#pragma once

#include "processor_start.hpp"

namespace strata::fuzz {

// In modes of 64- and 32-bit code; else nothing. What the input puts into memory comes later, over it.
void set_kernel(ProcessorStart& start);

} // namespace strata::fuzz
