// strata-oci: the container runtime's command line, as Podman, containerd and CRI-O call it.
#include "container/kernel/system_calls.hpp"
#include "oci/command.hpp"
#include "oci/log.hpp"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <string_view>

namespace strata::oci {
namespace {

constexpr Verb all_verbs[] = {
    {"checkpoint", "Save a running container to disk (CRIU)", checkpoint},
    {"create", "Make a container; its program waits for start", create, true},
    {"delete", "Remove a container that has stopped", delete_},
    {"events", "Print statistics and out-of-memory events", events},
    {"exec", "Run another process in a container", exec, true},
    {"features", "Print what this runtime can do, as JSON", features},
    {"kill", "Send a signal to a container", kill},
    {"list", "List the containers", list},
    {"pause", "Stop all processes of a container", pause},
    {"ps", "List the processes of a container", ps},
    {"restore", "Make a container from a checkpoint (CRIU)", restore, true},
    {"resume", "Let a paused container go on", resume},
    {"run", "Create and start a container", run, true},
    {"spec", "Write a config.json to begin with", spec},
    {"start", "Run the program of a created container", start},
    {"state", "Print the state of a container, as JSON", state},
    {"update", "Change the limits of a container", update},
};

constexpr int failed = 1;

void print_version() { std::printf("strata-oci version " STRATA_VERSION "\nspec: 1.3.0\n"); }

std::string help(const Arguments& globals) {
    std::string text = globals.help() + "\nVerbs:\n";
    for (const Verb& verb : all_verbs) {
        std::string name(verb.name);
        name.resize(14, ' ');
        text += "  " + name + std::string(verb.summary) + "\n";
    }
    return text + "\nstrata-oci VERB --help tells more. Example:\n"
                  "  mkdir -p bundle/rootfs/bin && cp /bin/busybox bundle/rootfs/bin/sh\n"
                  "  cd bundle && strata-oci spec && strata-oci run my-container\n";
}

Result<int> dispatch(const Globals& globals, Words words, char** argv) {
    const std::string_view name = words.front();
    const Verb* verb = std::ranges::find(all_verbs, name, &Verb::name);
    if (verb == std::end(all_verbs)) {
        return fail("there is no verb '" + std::string(name) + "'", "see strata-oci --help");
    }
    if (verb->enters) {
        if (auto protection = container::protect_executable(argv); !protection) {
            return std::unexpected(protection.error());
        }
    }
    container::Runtime runtime(
        {.root = globals.root.empty() ? container::default_root() : globals.root,
         .rootless = globals.rootless == "true" || (globals.rootless != "false" && container::is_rootless()),
         .systemd_cgroup = globals.systemd_cgroup});
    return verb->run(runtime, words.subspan(1));
}

int run_command_line(char** argv, int argc) {
    Globals globals;
    bool version = false;
    Arguments arguments("[OPTION...] VERB [ARGUMENT...]",
                        "Runs containers as the Open Container Initiative's specification says.");
    arguments.text("--root", globals.root, "where the state is (default " + container::default_root() + ")");
    arguments.text("--log", globals.log, "also write errors to this file");
    arguments.text("--log-format", globals.log_format, "of that file: text or json");
    arguments.flag("--debug", globals.debug, "accepted for the callers' sake");
    arguments.flag("--systemd-cgroup", globals.systemd_cgroup,
                   "have systemd make control groups; linux.cgroupsPath is SLICE:PREFIX:NAME");
    arguments.text("--rootless", globals.rootless,
                   "do without cgroups that may not be made: true, false, auto");
    arguments.flag("--version,-v", version, "print the version");
    const Words words(argv + 1, static_cast<std::size_t>(argc) - 1);
    const bool asks_for_help =
        words.empty() || words[0] == std::string_view("--help") || words[0] == std::string_view("-h");
    if (asks_for_help) {
        std::fputs(help(arguments).c_str(), stdout);
        return words.empty() ? failed : 0;
    }
    const auto rest = arguments.parse(words, 0, 0, true);
    if (rest && version) {
        print_version();
        return 0;
    }
    auto status = !rest ? Result<int>(std::unexpected(rest.error()))
                  : arguments.used() == words.size()
                      ? fail("no verb is named", "see strata-oci --help")
                      : dispatch(globals, words.subspan(arguments.used()), argv);
    if (!status) {
        report(globals, status.error());
        return failed;
    }
    return *status;
}

} // namespace

std::span<const Verb> verbs() { return all_verbs; }

} // namespace strata::oci

int main(int argc, char** argv) { return strata::oci::run_command_line(argv, argc); }
