// The unit in which systemd holds a container: what linux.cgroupsPath says where systemd makes control
// groups. See systemd.unit(5), systemd.slice(5), and runc's docs/systemd.md, which callers go by.
#pragma once

#include "base/error.hpp"

#include <string>

namespace strata::container {

struct SystemdUnit {
    std::string name;  // "libpod-1234.scope", or a slice
    std::string slice; // the one that it is in
    bool user = false; // of the user's own manager, not of the system's

    [[nodiscard]] bool is_slice() const { return name.ends_with(".slice"); }

    bool operator==(const SystemdUnit&) const = default;
};

// `path` is "SLICE:PREFIX:NAME", or empty for ":strata:ID". The unit is PREFIX-NAME.scope, or NAME if that is
// a slice; an empty SLICE is the system's or the user's, "-" the topmost.
[[nodiscard]] Result<SystemdUnit> parse_systemd_unit(const std::string& path, const std::string& id,
                                                     bool user);

} // namespace strata::container
