// The last steps of a container's process: its user, its privileges, its program. For the init of a container
// and for what `exec` adds alike. In the container's namespaces and root.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"
#include "container/kernel/procfs.hpp"
#include "container/process/seccomp.hpp"

#include <functional>

namespace strata::container {

struct ProgramOptions {
    const SeccompProgram* seccomp = nullptr;
    int preserved_fds = 0;         // descriptors 3 to 3 + n - 1 stay open
    bool changeable_groups = true; // false where the user namespace forbids setgroups(2)
    // Gets the listener of a filter that notifies.
    std::function<Result<void>(FileDescriptor listener)> on_listener;
};

struct Program {
    std::string path; // of the executable, looked up in the container's PATH
    std::vector<char*> args, env;
};

// Gives the calling process everything but its program; what is left is to wait for the start and run().
[[nodiscard]] Result<void> become_user(const Process& process, const Procfs& proc,
                                       const ProgramOptions& options);

// Finds the executable and makes the environment (HOME is added if missing).
[[nodiscard]] Result<Program> find_program(Process& process);

// Replaces the process; returns only with an error.
[[nodiscard]] Error run(const Program& program);

} // namespace strata::container
