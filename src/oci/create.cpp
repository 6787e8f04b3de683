#include "oci/command.hpp"

#include <climits>
#include <cstdlib>
#include <unistd.h>

namespace strata::oci {

Result<int> status_of(const Result<void>& done) {
    return done ? Result<int>(0) : std::unexpected(done.error());
}

Result<std::string> absolute_path(const std::string& path) {
    char resolved[PATH_MAX];
    if (::realpath(path.c_str(), resolved) == nullptr) {
        return fail_errno("find", path);
    }
    return resolved;
}

void CreateFlags::declare(Arguments& arguments) {
    arguments.text("--bundle,-b", options.bundle, "the directory of config.json (default: the current one)");
    arguments.text("--console-socket", options.console_socket, "a socket that gets the terminal's master");
    arguments.text("--pid-file", options.pid_file, "a file that gets the process ID");
    arguments.text("--pidfd-socket", options.pidfd_socket, "a socket that gets a pidfd of the process");
    arguments.flag("--no-pivot", no_pivot, "move the root instead of pivoting, for a root on a ramfs");
    arguments.flag("--no-new-keyring", no_new_keyring, "keep the caller's session keyring");
    arguments.count("--preserve-fds", options.preserved_fds, "descriptors from 3 on that the process gets");
}

Result<container::CreateOptions> CreateFlags::finish() {
    auto bundle = absolute_path(options.bundle);
    if (!bundle) {
        return std::unexpected(bundle.error());
    }
    options.bundle = std::move(*bundle);
    options.pivot = !no_pivot;
    options.new_keyring = !no_new_keyring;
    return options;
}

Result<int> create(container::Runtime& runtime, Words words) {
    Arguments arguments("create [OPTION...] ID", "Makes a container. Its program waits for start.");
    CreateFlags flags;
    flags.declare(arguments);
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    const auto options = flags.finish();
    return options ? status_of(runtime.create(rest->front(), *options)) : std::unexpected(options.error());
}

} // namespace strata::oci
