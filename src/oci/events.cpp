#include "oci/command.hpp"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

namespace strata::oci {
namespace {

void print_event(const std::string& id, const char* type, Json data) {
    std::printf("%s\n", Json{{"type", type}, {"id", id}, {"data", std::move(data)}}.dump().c_str());
    std::fflush(stdout);
}

// "5s", "200ms", "1m".
std::optional<std::chrono::milliseconds> parse_interval(const std::string& text) {
    unsigned number = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    const std::string_view unit(parsed.ptr, end);
    if (parsed.ec != std::errc{} || number == 0) {
        return std::nullopt;
    }
    if (unit == "ms") {
        return std::chrono::milliseconds(number);
    }
    if (unit == "s" || unit.empty()) {
        return std::chrono::seconds(number);
    }
    return unit == "m" ? std::optional<std::chrono::milliseconds>(std::chrono::minutes(number))
                       : std::nullopt;
}

} // namespace

Result<int> events(container::Runtime& runtime, Words words) {
    Arguments arguments("events [OPTION...] ID", "Prints a container's statistics at intervals, and each "
                                                 "time the kernel killed in it for want of memory.");
    bool stats_once = false;
    std::string interval_text = "5s";
    arguments.flag("--stats", stats_once, "print the statistics once");
    arguments.text("--interval", interval_text, "between two prints (default 5s)");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    const auto interval = parse_interval(interval_text);
    if (!interval) {
        return fail("--interval: '" + interval_text + "' is not a time as in 500ms, 5s or 1m");
    }
    const std::string& id = rest->front();
    auto stats = runtime.stats(id);
    if (!stats) {
        return std::unexpected(stats.error());
    }
    std::uint64_t kills = runtime.oom_kills(id).value_or(0);
    constexpr auto look = std::chrono::milliseconds(100);
    while (stats) {
        print_event(id, "stats", std::move(*stats));
        if (stats_once) {
            return 0;
        }
        for (auto waited = look; waited <= *interval; waited += look) {
            std::this_thread::sleep_for(look);
            const auto now = runtime.oom_kills(id).value_or(kills);
            if (now > kills) {
                print_event(id, "oom", nullptr);
            }
            kills = now;
        }
        stats = runtime.stats(id);
    }
    return 0; // it has ended
}

} // namespace strata::oci
