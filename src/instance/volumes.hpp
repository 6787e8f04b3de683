// Named volumes: directories that outlive the containers that use them.
#pragma once

#include "instance/instances.hpp"

#include <string>
#include <vector>

namespace strata::instance {

struct Volume {
    std::string name{}, path{};
    std::int64_t created = 0;
};

// The volume, made if there is none of that name. Without a name it gets one.
[[nodiscard]] Result<Volume> need_volume(const Instances& instances, const std::string& name);
[[nodiscard]] Result<Volume> find_volume(const Instances& instances, const std::string& name);
[[nodiscard]] Result<std::vector<Volume>> list_volumes(const Instances& instances);
// Refused while a container has it.
[[nodiscard]] Result<void> remove_volume(const Instances& instances, const std::string& name);
// The names of the containers that have it.
[[nodiscard]] Result<std::vector<std::string>> users_of_volume(const Instances& instances,
                                                               const std::string& name);

} // namespace strata::instance
