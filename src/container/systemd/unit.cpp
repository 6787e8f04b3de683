#include "container/systemd/unit.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace strata::container {
namespace {

constexpr std::string_view slice_suffix = ".slice";
constexpr std::size_t longest_name = 255;

bool is_unit_name(std::string_view name) {
    return name.size() <= longest_name && std::ranges::all_of(name, [](char c) {
               return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                      std::string_view(":-_.\\@").contains(c);
           });
}

// Dashes lead down: a-b.slice is in a.slice. So none is without a name on either side.
bool is_slice_name(std::string_view name) {
    if (name == "-.slice") {
        return true;
    }
    if (!is_unit_name(name) || !name.ends_with(slice_suffix)) {
        return false;
    }
    const auto stem = name.substr(0, name.size() - slice_suffix.size());
    return !stem.empty() && !stem.starts_with('-') && !stem.ends_with('-') && !stem.contains("--");
}

} // namespace

Result<SystemdUnit> parse_systemd_unit(const std::string& path, const std::string& id, bool user) {
    const std::string whole = path.empty() ? ":strata:" + id : path;
    const auto first = whole.find(':');
    const auto second = first == std::string::npos ? first : whole.find(':', first + 1);
    if (second == std::string::npos || whole.find(':', second + 1) != std::string::npos) {
        return fail("config.json: linux.cgroupsPath is '" + path +
                        "', not SLICE:PREFIX:NAME as with --systemd-cgroup",
                    "the caller's cgroup manager is not systemd: leave --systemd-cgroup out");
    }
    const std::string name = whole.substr(second + 1);
    SystemdUnit unit{.name = name, .slice = whole.substr(0, first), .user = user};
    if (unit.slice.empty()) {
        unit.slice = user ? "user.slice" : "system.slice";
    } else if (unit.slice == "-") {
        unit.slice = "-.slice";
    }
    if (!is_slice_name(unit.slice)) {
        return fail("config.json: linux.cgroupsPath: '" + unit.slice + "' is not the name of a slice",
                    "as in machine.slice, or user-1000.slice for one in user.slice");
    }
    if (name.empty()) {
        return fail("config.json: linux.cgroupsPath is '" + path + "', without a name");
    }
    if (!unit.is_slice()) {
        unit.name = whole.substr(first + 1, second - first - 1) + "-" + name + ".scope";
    }
    if (unit.is_slice() ? !is_slice_name(unit.name) : !is_unit_name(unit.name)) {
        return fail("config.json: linux.cgroupsPath: '" + unit.name + "' cannot be the name of a unit",
                    "systemd takes letters, digits and : - _ . \\ @ (at most 255)");
    }
    return unit;
}

} // namespace strata::container
