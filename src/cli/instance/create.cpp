// strata create: makes a container, which strata start starts.
#include "cli/instance/commands.hpp"
#include "cli/instance/container_run.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

namespace strata::cli {
namespace {

void define(CLI::App& command, CreateOptions& options) {
    define_create(command, options);
    take_command(command);
    command.footer("strata create [OPTIONS] IMAGE [COMMAND [ARGUMENT...]]\n\nExample:\n  strata create "
                   "--name web -p 8080:80 nginx\n  strata start web");
}

Result<int> create(const instance::Instances& instances, CreateOptions& options) {
    if (options.rest.empty() && options.rootfs.empty()) {
        return fail("no image is named", "see strata create --help");
    }
    const auto made = create_container(instances, options);
    if (!made) {
        return std::unexpected(made.error());
    }
    fmt::print("{}\n", made->id);
    return success;
}

} // namespace

void add_create(CLI::App& root, Outcome& outcome) {
    add_instance_command<CreateOptions>(root, outcome, "create", "Make a container, but do not start it",
                                        define, create);
}

} // namespace strata::cli
