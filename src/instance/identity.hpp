// What instances are called.
#pragma once

#include <cstddef>
#include <string>

namespace strata::instance {

// How many digits of an ID people see, and a container has for its host name.
inline constexpr std::size_t short_id_digits = 12;

// 64 hexadecimal digits, of which a short ID's are not all decimal: a host name of that kind would be taken
// for an address, and not looked up.
[[nodiscard]] std::string random_id();
// Two words, "calm_harbor"; after some attempts with a number.
[[nodiscard]] std::string random_name(int attempt);

} // namespace strata::instance
