#include "container/kernel/procfs.hpp"
#include "oci/command.hpp"

#include <algorithm>
#include <cstdio>
#include <fcntl.h>
#include <nlohmann/json.hpp>

namespace strata::oci {
namespace {

// What the table shows of one process, from its /proc/PID/status and cmdline.
void print_row(pid_t pid) {
    const std::string directory = "/proc/" + std::to_string(pid);
    const auto status = container::read_text_at(AT_FDCWD, directory + "/status");
    auto command = container::read_text_at(AT_FDCWD, directory + "/cmdline");
    if (!status || !command) {
        return; // it has ended meanwhile
    }
    const auto field = [&status](const std::string& name) {
        const auto at = status->find("\n" + name + ":\t");
        const auto start = at == std::string::npos ? status->size() : at + name.size() + 3;
        return status->substr(start, status->find_first_of("\t\n ", start) - start);
    };
    std::ranges::replace(*command, '\0', ' ');
    if (command->empty()) {
        *command = "[" + status->substr(6, status->find('\n') - 6) + "]";
    }
    std::printf("%-8s %8d %8s %5s %s\n", field("Uid").c_str(), pid, field("PPid").c_str(),
                field("State").c_str(), command->c_str());
}

} // namespace

Result<int> ps(container::Runtime& runtime, Words words) {
    Arguments arguments("ps [OPTION...] ID [PS-OPTION...]",
                        "Lists the processes of a container; options for ps are passed over.");
    std::string format = "table";
    arguments.text("--format,-f", format, "table or json");
    const auto rest = arguments.parse(words, 1, 64, true);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    if (format != "table" && format != "json") {
        return fail("--format: '" + format + "' is not table or json");
    }
    const auto pids = runtime.processes(rest->front());
    if (!pids) {
        return std::unexpected(pids.error());
    }
    if (format == "json") {
        std::printf("%s\n", Json(*pids).dump().c_str());
        return 0;
    }
    std::printf("%-8s %8s %8s %5s %s\n", "UID", "PID", "PPID", "STATE", "CMD");
    std::ranges::for_each(*pids, print_row);
    return 0;
}

} // namespace strata::oci
