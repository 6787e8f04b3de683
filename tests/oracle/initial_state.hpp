// A random state of the processor and memory, before it is fitted to an instruction.
#pragma once

#include "random.hpp"
#include "test_case.hpp"

namespace strata::oracle {

void randomize(Random& random, unsigned code_width, TestCase& input);

// The x87 part of a consistent state: TOP, tags, condition and exception bits, control word; MXCSR.
void randomize_fp_control(Random& random, XsaveArea& fp);

// The bits of MXCSR that this processor has.
[[nodiscard]] std::uint32_t host_mxcsr_mask();

} // namespace strata::oracle
