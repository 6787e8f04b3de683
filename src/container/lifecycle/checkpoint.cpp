#include "container/lifecycle/checkpoint.hpp"

#include "container/kernel/procfs.hpp"

#include <csignal>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace strata::container {
namespace {

struct Outcome {
    int status;
    std::string text;
};

// Runs CRIU with these arguments, without a shell.
Result<Outcome> run_criu(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "criu");
    std::vector<char*> pointers;
    for (auto& argument : arguments) {
        pointers.push_back(argument.data());
    }
    pointers.push_back(nullptr);
    const FileDescriptor output(::memfd_create("criu", MFD_CLOEXEC));
    const pid_t pid = ::fork();
    if (pid < 0) {
        return fail_errno("start", "criu");
    }
    if (pid == 0) {
        ::dup2(output.get(), 1);
        ::dup2(output.get(), 2);
        ::execvp("criu", pointers.data());
        ::_exit(127);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    ::lseek(output.get(), 0, SEEK_SET);
    return Outcome{.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128,
                   .text = read_descriptor(output.get(), "criu's output").value_or("")};
}

// CRIU's first complaint.
std::string first_error(const std::string& text) {
    const auto at = text.find("Error");
    const auto start = at == std::string::npos ? 0 : text.rfind('\n', at) + 1;
    return text.substr(start, text.find('\n', start) - start);
}

} // namespace

Result<void> check_criu() {
    const auto outcome = run_criu({"check"});
    if (!outcome) {
        return std::unexpected(outcome.error());
    }
    if (outcome->status == 127) {
        return fail("checkpoint and restore need CRIU, which is not installed", "install the package criu");
    }
    if (outcome->status != 0) {
        return fail("CRIU does not work on this host: " + first_error(outcome->text),
                    "criu check tells more; a newer CRIU may know this kernel");
    }
    return {};
}

Result<void> checkpoint_container(Runtime& runtime, const std::string& id, const CheckpointOptions& options) {
    const auto container = runtime.find(id);
    if (!container) {
        return std::unexpected(container.error());
    }
    if (auto works = check_criu(); !works) {
        return works;
    }
    std::vector<std::string> arguments{"dump",
                                       "--tree",
                                       std::to_string(container->state.pid),
                                       "--images-dir",
                                       options.image_path,
                                       "--log-file",
                                       "dump.log",
                                       "-v4"};
    const auto outcome = run_criu(std::move(arguments));
    return outcome && outcome->status == 0 ? Result<void>{}
                                           : fail("CRIU could not save container " + id, "see dump.log");
}

Result<int> restore_container(Runtime& /*runtime*/, const std::string& id,
                              const CheckpointOptions& /*options*/, const CreateOptions& /*create*/,
                              bool /*detach*/) {
    if (auto works = check_criu(); !works) {
        return std::unexpected(works.error());
    }
    return fail("container " + id + " cannot be restored");
}

} // namespace strata::container
