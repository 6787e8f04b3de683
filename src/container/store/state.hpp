// What is known of each container between two commands: a directory per container below the runtime's root,
// with the state and a copy of the configuration. Replaced whole, so that a reader never sees half of it.
#pragma once

#include "base/error.hpp"
#include "base/json_reader.hpp"
#include "container/rdt/group.hpp"
#include "container/systemd/unit.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::container {

enum class Status { creating, created, running, paused, stopped };

[[nodiscard]] std::string_view status_name(Status status);

struct State {
    std::string id{}, version{}, bundle{}, rootfs{};
    pid_t pid = 0; // 0 while it is being created
    std::uint64_t start_time =
        0; // of the process, in clock ticks since boot: tells it from a later one of that number
    std::string created{}; // RFC 3339
    std::map<std::string, std::string> annotations{};
    std::map<std::string, std::string> cgroup_paths{};
    std::optional<SystemdUnit> unit{}; // in which systemd holds it
    std::optional<RdtGroup> rdt{};
    std::vector<std::pair<int, std::string>>
        namespaces{}; // CLONE_ flags that the container has of its own, and names
    std::uint32_t owner = 0;
};

class StateStore {
public:
    explicit StateStore(std::string root) : root_(std::move(root)) {}

    // Makes the container's directory; an ID that is in use is an error.
    [[nodiscard]] Result<void> reserve(const std::string& id) const;
    [[nodiscard]] Result<void> save(const State& state) const;
    [[nodiscard]] Result<State> load(const std::string& id) const;
    // True if the ID has a directory, even one that a killed creator left unfinished.
    [[nodiscard]] bool exists(const std::string& id) const;
    [[nodiscard]] Result<void> remove(const std::string& id) const;
    [[nodiscard]] std::vector<std::string> list() const;

    [[nodiscard]] std::string directory(const std::string& id) const { return root_ + "/" + id; }

    [[nodiscard]] std::string config_path(const std::string& id) const {
        return directory(id) + "/config.json";
    }

    // Where a created container waits for its start; gone once it was started.
    [[nodiscard]] std::string fifo_path(const std::string& id) const { return directory(id) + "/start.fifo"; }

private:
    std::string root_;
};

// Letters, digits and _+-. only, and no path.
[[nodiscard]] Result<void> check_id(const std::string& id);

// As hooks and `state` show it.
[[nodiscard]] Json state_document(const State& state, Status status);

// The start time of a process that lives; nothing for a dead one or a zombie.
[[nodiscard]] std::optional<std::uint64_t> process_start_time(pid_t pid);

[[nodiscard]] std::string current_time();

} // namespace strata::container
