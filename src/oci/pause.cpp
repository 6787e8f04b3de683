#include "oci/command.hpp"

namespace strata::oci {

Result<int> pause(container::Runtime& runtime, Words words) {
    Arguments arguments("pause ID", "Stops all processes of a container, until it is resumed.");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    return status_of(runtime.pause(rest->front()));
}

} // namespace strata::oci
