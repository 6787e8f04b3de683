#include "oci/command.hpp"

namespace strata::oci {

Result<int> start(container::Runtime& runtime, Words words) {
    Arguments arguments("start ID", "Runs the program of a created container.");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    return status_of(runtime.start(rest->front()));
}

} // namespace strata::oci
