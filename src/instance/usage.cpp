#include "instance/usage.hpp"

#include "instance/process_table.hpp"
#include "instance/runtime.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unistd.h>

namespace strata::instance {
namespace {

using nlohmann::json;

// The number at a path such as "/memory/usage/usage"; 0 when there is none.
std::uint64_t number_at(const json& data, const char* path) {
    const json::json_pointer place(path);
    return data.contains(place) && data[place].is_number() ? data[place].get<std::uint64_t>() : 0;
}

std::uint64_t memory_of_host() {
    return static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t block_bytes(const json& data, std::string_view operation) {
    std::uint64_t sum = 0;
    const json::json_pointer place("/blkio/ioServiceBytesRecursive");
    for (const auto& entry : data.contains(place) ? data[place] : json::array()) {
        sum += entry.value("op", "") == operation ? number_at(entry, "/value") : 0;
    }
    return sum;
}

void read_groups(const json& data, Usage& usage) {
    usage.cpu_nanoseconds = number_at(data, "/cpu/usage/total");
    // Pages of files that nobody has used lately are the host's to take: they are not counted, as in Docker.
    const auto all = number_at(data, "/memory/usage/usage");
    const auto idle = std::max(number_at(data, "/memory/raw/total_inactive_file"),
                               number_at(data, "/memory/raw/inactive_file"));
    usage.memory = all - std::min(all, idle);
    if (const auto limit = number_at(data, "/memory/usage/limit"); limit > 0) {
        usage.memory_limit = std::min(limit, usage.memory_limit);
    }
    usage.processes = number_at(data, "/pids/current");
    usage.read = block_bytes(data, "Read");
    usage.written = block_bytes(data, "Write");
}

// proc_pid_stat(5): the times of a process and of its children that it waited for, its threads, its pages.
void add_process(std::int64_t pid, Usage& usage) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::istringstream fields(text.substr(std::min(text.rfind(')') + 1, text.size())));
    const std::vector<std::string> words{std::istream_iterator<std::string>(fields), {}};
    constexpr std::size_t first = 3, user = 14, last_time = 17, threads = 20,
                          pages = 24; // as the manual counts
    if (words.size() <= pages - first) {
        return; // it ended meanwhile
    }
    const auto number = [&](std::size_t field) {
        return std::strtoull(words[field - first].c_str(), nullptr, 10);
    };
    const auto tick = 1'000'000'000ULL / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
    for (auto field = user; field <= last_time; ++field) {
        usage.cpu_nanoseconds += number(field) * tick;
    }
    usage.processes += number(threads);
    usage.memory += number(pages) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// "eth0: RECEIVED … SENT …": bytes are the first and the ninth number of each device's line.
void read_network(const Instance& instance, Usage& usage) {
    if (instance.settings.network == "host") {
        return; // what passes there is the host's
    }
    std::ifstream file(fmt::format("/proc/{}/net/dev", instance.pid));
    for (std::string line; std::getline(file, line);) {
        const auto colon = line.find(':');
        if (colon == std::string::npos || line.find("lo:") < colon) {
            continue;
        }
        std::istringstream fields(line.substr(colon + 1));
        const std::vector<std::uint64_t> numbers{std::istream_iterator<std::uint64_t>(fields), {}};
        constexpr std::size_t sent = 8;
        if (numbers.size() > sent) {
            usage.received += numbers.front();
            usage.sent += numbers[sent];
        }
    }
}

} // namespace

Result<Usage> usage_of(const Instances& instances, const Instance& instance) {
    const auto text = Runtime(instances.directory() + "/run").stats(instance.id);
    if (!text) {
        return std::unexpected(text.error());
    }
    const auto event = json::parse(*text, nullptr, false);
    const auto data = event.is_object() ? event.value("data", json::object()) : json::object();
    Usage usage{.when = std::chrono::steady_clock::now(), .memory_limit = memory_of_host()};
    read_groups(data, usage);
    if (usage.processes == 0) { // no groups: one that runs has a process
        usage.cpu_nanoseconds = usage.memory = 0;
        for (const auto& process : processes_beside(instance.pid)) {
            add_process(process.pid, usage);
        }
    }
    read_network(instance, usage);
    return usage;
}

double cpu_percent(const Usage& before, const Usage& after) {
    const auto passed = std::chrono::duration<double, std::nano>(after.when - before.when).count();
    const auto used =
        static_cast<double>(after.cpu_nanoseconds) - static_cast<double>(before.cpu_nanoseconds);
    return passed > 0 && used > 0 ? 100 * used / passed : 0;
}

} // namespace strata::instance
