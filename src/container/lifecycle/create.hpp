// Making a container up to the point where its program waits.
#pragma once

#include "base/file_descriptor.hpp"
#include "container/cgroups/cgroup.hpp"
#include "container/process/channel.hpp"
#include "container/runtime.hpp"

namespace strata::container {

struct Creation {
    State state;
    Config config;
    FileDescriptor pidfd;
    Channel channel;         // where the process waits for Word::start, unless at the FIFO
    FileDescriptor terminal; // the master, if it was asked for here
};

enum class StartAt { fifo, channel };

// On failure nothing is left. `serve_terminal`: the caller serves the terminal itself.
[[nodiscard]] Result<Creation> create_container(const Runtime& runtime, const std::string& id,
                                                const CreateOptions& options, StartAt start,
                                                bool serve_terminal);

// The state at the beginning: without a process.
[[nodiscard]] State first_state(const std::string& id, const Config& config, const std::string& bundle,
                                const Cgroup& cgroup);

// The copy of the bundle's configuration that goes with the state.
[[nodiscard]] Result<void> save_config(const Runtime& runtime, const std::string& id,
                                       const std::string& bundle);

// Removes the container's cgroup, and its state last.
[[nodiscard]] Result<void> destroy_container(const StateStore& store, const State& state);

// Puts the process ID where callers look for it, and sends a pidfd.
[[nodiscard]] Result<void> announce(pid_t pid, int pidfd, const std::string& pid_file,
                                    const std::string& pidfd_socket);

} // namespace strata::container
