#include "cli/oci.hpp"

#include "base/error.hpp"

#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace strata::cli {
namespace {

constexpr auto executable = "strata-oci";

std::string base_name(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

// In the directory of this executable; empty if it cannot be found.
std::string path_beside() {
    char path[PATH_MAX];
    const auto size = ::readlink("/proc/self/exe", path, sizeof path - 1);
    if (size <= 0) {
        return {};
    }
    const std::string own(path, static_cast<std::size_t>(size));
    return own.substr(0, own.rfind('/') + 1) + executable;
}

} // namespace

void hand_over_to_oci(int argc, char** argv) {
    const bool by_name = argc > 0 && base_name(argv[0]) == executable;
    if (!by_name && (argc < 2 || argv[1] != std::string_view("oci"))) {
        return;
    }
    std::string name = executable;
    std::vector<char*> arguments(argv + (by_name ? 1 : 2), argv + argc);
    arguments.insert(arguments.begin(), name.data());
    arguments.push_back(nullptr);
    const std::string path = path_beside();
    ::execv(path.c_str(), arguments.data());
    std::exit(report(fail_errno("run", path, errno, "strata-oci belongs in the directory of strata").error(),
                     failure));
}

void add_oci(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("oci", "The OCI container runtime that Podman and containerd call");
    command->footer("Examples:\n  strata oci --help\n  podman --runtime $(which strata-oci) run ...");
}

} // namespace strata::cli
