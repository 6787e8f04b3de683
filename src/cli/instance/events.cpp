// strata events: what happens to containers, images, networks and volumes.
#include "cli/instance/commands.hpp"
#include "cli/instance/context.hpp"
#include "cli/template.hpp"
#include "cli/time_values.hpp"

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "base/wall_clock.hpp"
#include "instance/events.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/inotify.h>

namespace strata::cli {
namespace {

using instance::Event;

struct Options {
    std::string since, until, format;
    std::vector<std::string> filters;
};

constexpr std::array keys{"container", "event", "type", "image", "label", "network", "volume"};

void define(CLI::App& command, Options& options) {
    command.add_option("--since", options.since, "Also those that happened from this time on")
        ->type_name("TIME");
    command.add_option("--until", options.until, "Up to this time, then end")->type_name("TIME");
    command.add_option("-f,--filter", options.filters, "Only those that fit; may be repeated")
        ->type_name(
            "container=NAME|event=ACTION|type=TYPE|image=IMAGE|label=KEY[=VALUE]|network=NAME|volume=NAME")
        ->allow_extra_args(false);
    command.add_option("--format", options.format, "json, or a template as in '{{.Action}} {{.Actor.ID}}'")
        ->type_name("FORMAT");
    command.footer(
        "Shows them as they happen. Times are 2024-01-31T12:00:00Z, seconds since 1970, or 10m for ten "
        "minutes ago. Of filters with one key one must fit, of different keys all. The newest ten "
        "thousand events are kept.\n\n"
        "Examples:\n  strata events --filter container=web\n"
        "  strata events --since 1h --until 0s --format json");
}

bool fits(const Event& event, const std::string& key, const std::string& value) {
    const auto attribute = [&](const std::string& name) {
        const auto found = event.attributes.find(name);
        return found == event.attributes.end() ? std::string{} : found->second;
    };
    if (key == "container") {
        return event.type == "container" && (attribute("name") == value || event.subject.starts_with(value));
    }
    if (key == "volume") {
        return event.type == "volume" && event.subject == value;
    }
    if (key == "event") { // "health_status" also without what it came to be
        return event.action == value || event.action.starts_with(value + ":");
    }
    if (key == "label") {
        const auto equals = value.find('=');
        const auto found = event.attributes.find(value.substr(0, equals));
        return found != event.attributes.end() &&
               (equals == std::string::npos || found->second == value.substr(equals + 1));
    }
    if (key == "network") {
        return event.type == "network" && (event.subject.starts_with(value) || attribute("name") == value);
    }
    if (key == "image" && event.type == "image") {
        return event.subject == value;
    }
    return key == "type" ? event.type == value : attribute("image") == value;
}

Result<void> check_filters(const std::vector<std::string>& filters) {
    for (const auto& filter : filters) {
        const auto equals = filter.find('=');
        if (equals == std::string::npos ||
            std::ranges::find(keys, std::string_view(filter).substr(0, equals)) == keys.end()) {
            return fail(fmt::format("filter '{}' is not known", filter),
                        "use container=, event=, type=, image=, label=, network= or volume=");
        }
    }
    return {};
}

bool passes(const Event& event, const std::vector<std::string>& filters) {
    return std::ranges::all_of(keys, [&](const std::string& key) {
        bool asked = false, fitting = false;
        for (const auto& filter : filters) {
            if (filter.starts_with(key + "=")) {
                asked = true;
                fitting = fitting || fits(event, key, filter.substr(key.size() + 1));
            }
        }
        return fitting || !asked;
    });
}

// As Docker's daemon sends it.
nlohmann::json document_of(const Event& event) {
    constexpr std::int64_t second = 1'000'000'000;
    nlohmann::json document{{"Type", event.type},
                            {"Action", event.action},
                            {"Actor", {{"ID", event.subject}, {"Attributes", event.attributes}}},
                            {"scope", "local"},
                            {"time", event.time / second},
                            {"timeNano", event.time}};
    if (event.type == "container") {
        const auto image = event.attributes.find("image");
        document["status"] = event.action;
        document["id"] = event.subject;
        document["from"] = image == event.attributes.end() ? "" : image->second;
    }
    return document;
}

Result<void> print(const Event& event, const std::string& format) {
    if (format.empty()) {
        std::string attributes;
        for (const auto& [key, value] : event.attributes) {
            attributes += fmt::format("{}{}={}", attributes.empty() ? "" : ", ", key, value);
        }
        fmt::print("{} {} {} {} ({})\n", precise_time_text(event.time), event.type, event.action,
                   event.subject, attributes);
    } else {
        const auto line = render(format == "json" ? "{{json .}}" : format, document_of(event));
        if (!line) {
            return std::unexpected(line.error());
        }
        fmt::print("{}\n", *line);
    }
    std::fflush(stdout);
    return {};
}

// Wakes when somebody writes to the state. SQLite's writers show others what they have written a moment after
// they wrote it, so who was woken may look too soon: after a second there is always another look.
class Bell {
public:
    explicit Bell(const std::string& directory) : file_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
        inotify_add_watch(file_.get(), directory.c_str(), IN_MODIFY | IN_CREATE);
    }

    // Until it rings, or it is time to look.
    void wait(std::int64_t until) const {
        constexpr std::int64_t millisecond = 1'000'000, longest = 1000;
        const auto left = (until - nanoseconds_since_1970()) / millisecond + 1;
        pollfd file{file_.get(), POLLIN, 0};
        poll(&file, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, longest)));
        std::array<char, 4096> rings{};
        while (read(file_.get(), rings.data(), rings.size()) > 0) {
        }
    }

private:
    FileDescriptor file_;
};

Result<int> watch(const instance::Instances& instances, Options& options) {
    if (auto good = check_filters(options.filters); !good) {
        return std::unexpected(good.error());
    }
    auto since = Result<std::int64_t>(0),
         until = Result<std::int64_t>(std::numeric_limits<std::int64_t>::max());
    auto last = Result<std::int64_t>(0);
    if (options.since.empty()) {
        last = instance::newest_event(instances.database());
    } else {
        since = parse_time(options.since, "--since");
    }
    if (!options.until.empty()) {
        until = parse_time(options.until, "--until");
    }
    for (const auto* value : {&since, &until, &last}) {
        if (!*value) {
            return std::unexpected(value->error());
        }
    }
    const Bell bell(instances.directory()); // before the first look, so that nothing is missed
    while (true) {
        const bool over = nanoseconds_since_1970() >= *until;
        const auto events = instance::events_after(instances.database(), *last);
        if (!events) {
            return std::unexpected(events.error());
        }
        for (const auto& event : *events) {
            last = event.sequence;
            if (event.time >= *since && event.time <= *until && passes(event, options.filters)) {
                if (auto printed = print(event, options.format); !printed) {
                    return std::unexpected(printed.error());
                }
            }
        }
        if (over) {
            return success;
        }
        bell.wait(*until);
    }
}

} // namespace

void add_events(CLI::App& root, Outcome& outcome) {
    add_instance_command<Options>(root, outcome, "events", "Show what happens to containers", define, watch);
}

} // namespace strata::cli
