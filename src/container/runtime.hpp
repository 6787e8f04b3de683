// The container runtime: what its command line does, as a library. See the OCI Runtime Specification,
// "Operations".
//
// Every call stands alone: state is on disk below the root, so that any number of processes may work with the
// same containers. A process that calls create(), run() or exec() must have protected its executable before
// (protect_executable), must have one thread, and becomes the parent of the container's process.
#pragma once

#include "base/error.hpp"
#include "container/config/config.hpp"
#include "container/store/state.hpp"

#include <optional>
#include <string>
#include <vector>

namespace strata::container {

struct RuntimeOptions {
    std::string root;            // where the state is; see default_root()
    bool rootless = false;       // cgroups that may not be made are done without
    bool systemd_cgroup = false; // of new containers: systemd makes them
};

struct CreateOptions {
    std::string bundle{};         // the directory of config.json; absolute
    std::string pid_file{};       // gets the process's ID; empty for none
    std::string console_socket{}; // gets the terminal's master (process.terminal)
    std::string pidfd_socket{};   // gets a pidfd of the process
    int preserved_fds = 0;        // descriptors from 3 on that the process keeps
    bool pivot = true;
    bool new_keyring = true;
};

struct RunOptions {
    bool detach = false;   // return when the program runs
    bool keep = false;     // leave the state when it ended
    bool subreaper = true; // while waiting, be the parent of the container's processes that lose theirs
};

struct ExecOptions {
    Process process;
    std::string pid_file, console_socket, pidfd_socket;
    std::string cgroup; // a cgroup below the container's
    int preserved_fds = 0;
    bool detach = false;
    bool ignore_paused = false;
};

struct KillOptions {
    int signal;
    bool all = false; // every process of the container
};

struct Container {
    State state;
    Status status;
};

class Runtime {
public:
    explicit Runtime(RuntimeOptions options);

    // Makes the container up to its program, which waits for start().
    [[nodiscard]] Result<void> create(const std::string& id, const CreateOptions& options);
    [[nodiscard]] Result<void> start(const std::string& id);

    // create() and start(); unless detached, waits, passes on signals, serves the terminal, and deletes. The
    // result is the program's exit status, 128 + n after signal n, 0 when detached.
    [[nodiscard]] Result<int> run(const std::string& id, const CreateOptions& options, const RunOptions& how);

    // Another process in the container; the result as of run().
    [[nodiscard]] Result<int> exec(const std::string& id, const ExecOptions& options);

    [[nodiscard]] Result<Container> find(const std::string& id) const;
    [[nodiscard]] std::vector<Container> list() const;

    [[nodiscard]] Result<void> kill(const std::string& id, const KillOptions& options);
    // Without `force` of a stopped or a created container only; with it of any, and of none.
    [[nodiscard]] Result<void> remove(const std::string& id, bool force);
    [[nodiscard]] Result<void> pause(const std::string& id);
    [[nodiscard]] Result<void> resume(const std::string& id);
    // `rdt` with its schemas: a class that the container has none of yet is made.
    [[nodiscard]] Result<void> update(const std::string& id, const Resources& resources,
                                      const std::optional<IntelRdt>& rdt = {});

    // The IDs of the container's processes, in this process's pid namespace.
    [[nodiscard]] Result<std::vector<pid_t>> processes(const std::string& id) const;
    // What `events --stats` prints.
    [[nodiscard]] Result<Json> stats(const std::string& id) const;
    // Number of times the kernel killed for want of memory.
    [[nodiscard]] Result<std::uint64_t> oom_kills(const std::string& id) const;

    // The configuration that the container was created with.
    [[nodiscard]] Result<Config> config(const std::string& id) const;

    // Until the container's process ended. Its exit status is its parent's to know.
    [[nodiscard]] Result<void> wait(const std::string& id) const;

    [[nodiscard]] const StateStore& store() const { return store_; }

    [[nodiscard]] const RuntimeOptions& options() const { return options_; }

private:
    [[nodiscard]] Result<Container> find_live(const std::string& id, std::string_view action) const;
    [[nodiscard]] Result<void> destroy(const Container& container);

    RuntimeOptions options_;
    StateStore store_;
};

// True for another user than root, and for the root of a user namespace.
[[nodiscard]] bool is_rootless();

// /run/strata, or where is_rootless() $XDG_RUNTIME_DIR/strata.
[[nodiscard]] std::string default_root();

// CVE-2019-5736: a process in a container must not reach, by /proc/PID/exe of one that enters it, an
// executable of the host's that it could write to. Runs this program again, with the same arguments, from a
// mount that is read-only for ever, or from a sealed copy; returns at once where that was done already.
[[nodiscard]] Result<void> protect_executable(char** argv);

} // namespace strata::container
