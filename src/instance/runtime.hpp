// The container runtime, through its command line (OCI runtime-tools, "Command Line Interface"): the one that
// STRATA_RUNTIME names, or strata-oci, which is beside this program, or runc where that is not.
#pragma once

#include "base/error.hpp"

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace strata::instance {

// The descriptors that a program in a container gets; -1 for /dev/null.
struct Streams {
    int input = -1, output = -1, error = -1;
};

class Runtime {
public:
    // `directory` holds the runtime's state, and files for a moment.
    explicit Runtime(std::string directory);

    // Makes the container of a bundle and returns the number of its first process, which this process has to
    // wait for if it is a subreaper. `console` is the socket for its terminal, or empty.
    [[nodiscard]] Result<pid_t> create(const std::string& id, const std::string& bundle,
                                       const std::string& console, const Streams& streams) const;

    [[nodiscard]] Result<void> start(const std::string& id) const { return call({"start", id}); }

    [[nodiscard]] Result<void> pause(const std::string& id) const { return call({"pause", id}); }

    [[nodiscard]] Result<void> resume(const std::string& id) const { return call({"resume", id}); }

    [[nodiscard]] Result<void> kill(const std::string& id, int signal) const {
        return call({"kill", id, std::to_string(signal)});
    }

    // Also one that is not there.
    [[nodiscard]] Result<void> remove(const std::string& id) const;

    // Whether it was made, and its program waits to be started.
    [[nodiscard]] bool is_unstarted(const std::string& id) const;

    // What it uses: one event as JSON, as `events --stats` writes it.
    [[nodiscard]] Result<std::string> stats(const std::string& id) const;

    // `resources` as in config.json.
    [[nodiscard]] Result<void> update(const std::string& id, const std::string& resources) const;
    // Adds a process, `process` as in config.json; its number, to wait for.
    [[nodiscard]] Result<pid_t> exec(const std::string& id, const std::string& process,
                                     const std::string& console, const Streams& streams) const;

private:
    [[nodiscard]] Result<void> call(std::vector<std::string> arguments, const Streams& streams = {}) const;
    [[nodiscard]] Result<std::string> call_for_text(std::vector<std::string> arguments) const;
    [[nodiscard]] Result<pid_t> call_for_pid(std::vector<std::string> arguments, const std::string& console,
                                             const std::string& last, const Streams& streams) const;

    std::string directory_, program_;
};

} // namespace strata::instance
