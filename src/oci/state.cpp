#include "oci/command.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace strata::oci {

Result<int> state(container::Runtime& runtime, Words words) {
    Arguments arguments("state ID", "Prints the state of a container, as JSON.");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    const auto container = runtime.find(rest->front());
    if (!container) {
        return std::unexpected(container.error());
    }
    Json document = state_document(container->state, container->status);
    document["pid"] = container->status == container::Status::stopped ? 0 : container->state.pid;
    document["rootfs"] = container->state.rootfs;
    document["created"] = container->state.created;
    document["owner"] = "";
    std::printf("%s\n", document.dump(2).c_str());
    return 0;
}

} // namespace strata::oci
