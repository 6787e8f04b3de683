// What instances are called.
#pragma once

#include <string>

namespace strata::instance {

// 64 hexadecimal digits.
[[nodiscard]] std::string random_id();
// Two words, "calm_harbor"; after some attempts with a number.
[[nodiscard]] std::string random_name(int attempt);

} // namespace strata::instance
