// Bytes as a bundle's config.json, a process and limits. What is refused is refused in one line that names
// the document; of what is accepted the mounts' options are read and the filter of system calls is compiled.
#include "container/config/config.hpp"
#include "container/mounts/options.hpp"
#include "container/process/seccomp.hpp"

#include <cstdlib>
#include <string_view>

using namespace strata::container;

namespace {

template <class Value>
void check_refusal(const strata::Result<Value>& read, std::string_view document) {
    if (!read && (!read.error().message.starts_with(document) ||
                  read.error().message.find('\n') != std::string::npos)) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto config = parse_config(text, "/bundle");
    check_refusal(config, "config.json");
    check_refusal(parse_process(text, "process"), "process");
    check_refusal(parse_resources(text, "resources"), "resources");
    if (!config) {
        return 0;
    }
    for (const auto& mount : config->mounts) {
        static_cast<void>(parse_mount_options(mount));
    }
    if (config->seccomp) {
        static_cast<void>(compile_seccomp(*config->seccomp));
    }
    return 0;
}
