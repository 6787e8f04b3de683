#include "oci/command.hpp"

namespace strata::oci {

Result<int> delete_(container::Runtime& runtime, Words words) {
    Arguments arguments("delete [OPTION...] ID",
                        "Removes a container that has stopped, or was never started.");
    bool force = false;
    arguments.flag("--force,-f", force, "kill it first; no error if there is none");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    return status_of(runtime.remove(rest->front(), force));
}

} // namespace strata::oci
