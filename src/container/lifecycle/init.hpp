// The process that becomes the container's, from its birth to its program.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/cgroups/entrance.hpp"
#include "container/config/config.hpp"
#include "container/isolation/namespaces.hpp"
#include "container/mounts/rootfs.hpp"
#include "container/process/channel.hpp"
#include "container/process/seccomp.hpp"
#include "container/store/state.hpp"

#include <optional>
#include <vector>

namespace strata::container {

// All that it needs; made by the creator before, and inherited in memory.
struct InitPlan {
    Config config;
    State state{}; // for hooks that run in the container; its pid is known once the process is in its cgroup
    Channel channel{};
    std::vector<OpenNamespace> joined{};
    PreparedRoot root{};
    const CgroupHost* cgroup_host = nullptr;
    Cgroup* cgroup = nullptr; // where systemd makes it, without paths at first
    CgroupEntrance entrance{};
    std::optional<SeccompProgram> seccomp{};
    FileDescriptor console_socket{}; // gets the terminal's master
    FileDescriptor start{};          // the FIFO to wait at; without it the channel
    int preserved_fds = 0;
    bool pivot = true;
    bool new_keyring = true;
};

// Never returns. What fails before the start is sent to the creator; what fails after it goes to standard
// error.
[[noreturn]] void become_init(InitPlan& plan);

} // namespace strata::container
