#include "oci/command.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace strata::oci {
namespace {

void print_json(const std::vector<container::Container>& containers) {
    Json all = Json::array();
    for (const auto& [state, status] : containers) {
        all.push_back({{"ociVersion", state.version},
                       {"id", state.id},
                       {"pid", status == container::Status::stopped ? 0 : state.pid},
                       {"status", status_name(status)},
                       {"bundle", state.bundle},
                       {"rootfs", state.rootfs},
                       {"created", state.created},
                       {"annotations", state.annotations},
                       {"owner", std::to_string(state.owner)}});
    }
    std::printf("%s\n", all.dump().c_str());
}

void print_table(const std::vector<container::Container>& containers) {
    std::size_t widest = 2;
    for (const auto& container : containers) {
        widest = std::max(widest, container.state.id.size());
    }
    const int width = static_cast<int>(widest);
    std::printf("%-*s  %-8s %-9s %-32s %s\n", width, "ID", "PID", "STATUS", "CREATED", "BUNDLE");
    for (const auto& [state, status] : containers) {
        const auto name = status_name(status);
        std::printf("%-*s  %-8d %-9.*s %-32s %s\n", width, state.id.c_str(),
                    status == container::Status::stopped ? 0 : state.pid, static_cast<int>(name.size()),
                    name.data(), state.created.c_str(), state.bundle.c_str());
    }
}

} // namespace

Result<int> list(container::Runtime& runtime, Words words) {
    Arguments arguments("list [OPTION...]", "Lists the containers below the root.");
    std::string format = "table";
    bool quiet = false;
    arguments.text("--format,-f", format, "table or json");
    arguments.flag("--quiet,-q", quiet, "IDs only");
    const auto rest = arguments.parse(words, 0, 0);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    if (format != "table" && format != "json") {
        return fail("--format: '" + format + "' is not table or json");
    }
    const auto containers = runtime.list();
    if (quiet) {
        for (const auto& container : containers) {
            std::printf("%s\n", container.state.id.c_str());
        }
    } else if (format == "json") {
        print_json(containers);
    } else {
        print_table(containers);
    }
    return 0;
}

} // namespace strata::oci
