// The files by which a container knows its host's part of the network: /etc/hosts, /etc/hostname,
// /etc/resolv.conf.
#pragma once

#include "instance/instances.hpp"

#include <string>
#include <utility>
#include <vector>

namespace strata::instance {

// Writes them into `directory`; each with where it belongs in the container. `has_names`: a name server of
// its own answers there.
[[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>>
write_host_files(const std::string& directory, const Instance& instance,
                 const std::vector<std::string>& addresses, bool has_names);

// A new volume begins with what the image has where it is mounted, as Docker's do: copies it once.
[[nodiscard]] Result<void> fill_volume(const std::string& volume, int root, const std::string& target);

} // namespace strata::instance
