#include "cli/oci.hpp"

#include "base/beside.hpp"
#include "base/error.hpp"

#include <cstdlib>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace strata::cli {
namespace {

constexpr auto executable = "strata-oci";

std::string base_name(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

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
    const std::string path = path_beside(executable);
    ::execv(path.c_str(), arguments.data());
    std::exit(report(fail_errno("run", path, errno, "strata-oci belongs in the directory of strata").error(),
                     failure));
}

void add_oci(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("oci", "The OCI container runtime that Podman and containerd call");
    command->footer("Examples:\n  strata oci --help\n  podman --runtime $(which strata-oci) run ...");
}

} // namespace strata::cli
