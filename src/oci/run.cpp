#include "oci/command.hpp"

namespace strata::oci {

Result<int> run(container::Runtime& runtime, Words words) {
    Arguments arguments(
        "run [OPTION...] ID",
        "Creates and starts a container, waits for it and deletes it. The exit status is its program's.");
    CreateFlags flags;
    container::RunOptions how;
    bool no_subreaper = false;
    flags.declare(arguments);
    arguments.flag("--detach,-d", how.detach, "return when the program runs");
    arguments.flag("--keep", how.keep, "do not delete the container when it ended");
    arguments.flag("--no-subreaper", no_subreaper, "do not become the parent of orphans of the container");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    how.subreaper = !no_subreaper;
    const auto options = flags.finish();
    return options ? runtime.run(rest->front(), *options, how) : std::unexpected(options.error());
}

} // namespace strata::oci
