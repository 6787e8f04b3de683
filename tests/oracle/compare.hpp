// Whether two outcomes of a case agree, and where they do not.
#pragma once

#include "tolerance.hpp"

#include <string>
#include <vector>

namespace strata::oracle {

// One line for each field that differs; empty if they agree.
[[nodiscard]] std::vector<std::string> differences(const TestCase& input, const Outcome& native,
                                                   const Outcome& interpreted, const Tolerance& tolerance);

// "#PF(0x6) at 0x1000, rip 0x10001123".
[[nodiscard]] std::string describe_ending(const Outcome& outcome);
[[nodiscard]] std::string describe_input(const TestCase& input);

} // namespace strata::oracle
