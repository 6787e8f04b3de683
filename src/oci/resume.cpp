#include "oci/command.hpp"

namespace strata::oci {

Result<int> resume(container::Runtime& runtime, Words words) {
    Arguments arguments("resume ID", "Lets a paused container go on.");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    return status_of(runtime.resume(rest->front()));
}

} // namespace strata::oci
