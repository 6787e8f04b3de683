// A property of a unit, as it is set over D-Bus: its name, the signature of its type, and its value as words,
// one for each basic value, with the number of elements before those of an array. (busctl(1) takes the same.)
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strata::container {

struct UnitProperty {
    std::string name, signature;
    std::vector<std::string> words;

    bool operator==(const UnitProperty&) const = default;
};

// "no limit", in properties of type t.
inline constexpr std::uint64_t infinity = UINT64_MAX;

[[nodiscard]] UnitProperty flag_property(std::string name, bool value);
[[nodiscard]] UnitProperty number_property(std::string name, std::uint64_t value);
[[nodiscard]] UnitProperty text_property(std::string name, std::string value);

// What an annotation "org.systemd.property.NAME" says in GVariant's text format ("uint64 5", "'text'",
// "['a', 'b']"). A NAME in ...Sec gets seconds, and becomes the ...USec that D-Bus has.
[[nodiscard]] Result<UnitProperty> parse_property(std::string_view name, std::string_view text);

} // namespace strata::container
