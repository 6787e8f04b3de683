// The hand-over to the runtime: an instance as a bundle of the OCI runtime specification, with Docker's
// defaults.
#pragma once

#include "instance/instances.hpp"
#include "instance/users.hpp"

#include <string>
#include <vector>

namespace strata::instance {

// What is known only when an instance starts.
struct Surroundings {
    std::string root{}; // its root directory, mounted
    std::string
        network_namespace{}; // the path of one to join; "" for none of its own: settings.network tells
    std::vector<std::pair<std::string, std::string>> files{}; // of the host, in the container: /etc/hosts, …
    std::vector<std::string> volumes{}; // directories, for the mounts of type "volume" in order
    User user{};
};

// Adds NAME=VALUE, in the place of another value of that name.
void set_variable(std::vector<std::string>& environment, const std::string& entry);

// The limits alone, as `update` takes them.
[[nodiscard]] std::string resources_text(const Instance& instance);

// config.json.
[[nodiscard]] Result<std::string> bundle_config(const Instance& instance, const Surroundings& surroundings);

struct Execution {
    std::vector<std::string> command{}, environment{};
    std::string working_directory{};
    bool terminal = false, privileged = false;
};

// The process that `exec` adds: the specification's "process" object.
[[nodiscard]] Result<std::string> exec_process(const Instance& instance, const Execution& execution,
                                               const User& user);

} // namespace strata::instance
