#include "image/config.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::image {
namespace {

HealthCheck read_health(const JsonNode& node) {
    HealthCheck check;
    if (node) {
        check.test = node.find("Test").strings();
        for (const auto& [name, value] : {std::pair("Interval", &check.interval),
                                          {"Timeout", &check.timeout},
                                          {"StartPeriod", &check.start_period},
                                          {"Retries", &check.retries}}) {
            if (const auto number = node.find(name)) {
                *value = number.integer(0);
            }
        }
    }
    return check;
}

RunConfig read_run(const JsonNode& node) {
    return {.user = node.find("User").string(),
            .working_directory = node.find("WorkingDir").string(),
            .stop_signal = node.find("StopSignal").string(),
            .environment = node.find("Env").strings(),
            .entrypoint = node.find("Entrypoint").strings(),
            .command = node.find("Cmd").strings(),
            .exposed_ports = node.find("ExposedPorts").keys(),
            .volumes = node.find("Volumes").keys(),
            .labels = node.find("Labels").string_map(),
            .health = read_health(node.find("Healthcheck"))};
}

HistoryEntry read_history(const JsonNode& node) {
    return {.created = node.find("created").string(),
            .created_by = node.find("created_by").string(),
            .author = node.find("author").string(),
            .comment = node.find("comment").string(),
            .empty_layer = node.find("empty_layer").boolean()};
}

// Sets the member, or removes it when there is nothing to say.
template <class Value>
void put(Json& object, const char* name, const Value& value) {
    if (value.empty()) {
        object.erase(name);
    } else {
        object[name] = value;
    }
}

Json to_set(const std::vector<std::string>& names) {
    Json set = Json::object();
    for (const auto& name : names) {
        set[name] = Json::object();
    }
    return set;
}

void write_run(Json& json, const RunConfig& run) {
    put(json, "User", run.user);
    put(json, "WorkingDir", run.working_directory);
    put(json, "StopSignal", run.stop_signal);
    put(json, "Env", run.environment);
    put(json, "Entrypoint", run.entrypoint);
    put(json, "Cmd", run.command);
    put(json, "ExposedPorts", to_set(run.exposed_ports));
    put(json, "Volumes", to_set(run.volumes));
    put(json, "Labels", run.labels);
}

Json to_json(const HistoryEntry& entry) {
    Json json = Json::object();
    put(json, "created", entry.created);
    put(json, "created_by", entry.created_by);
    put(json, "author", entry.author);
    put(json, "comment", entry.comment);
    if (entry.empty_layer) {
        json["empty_layer"] = true;
    }
    return json;
}

} // namespace

Result<Config> Config::parse(std::string_view text, std::string_view what) {
    JsonReader reader{std::string(what)};
    const auto root = reader.parse(text);
    Config config;
    config.platform = read_platform(root);
    config.created = root.find("created").string();
    config.author = root.find("author").string();
    if (const auto run = root.find("config")) {
        config.run = read_run(run);
    }
    const auto rootfs = root.at("rootfs");
    if (const auto type = rootfs.at("type"); type && type.string() != "layers") {
        type.refuse("is not 'layers'");
    }
    for (const auto& id : rootfs.find("diff_ids").items()) {
        config.diff_ids.push_back(read_digest(id));
    }
    for (const auto& entry : root.find("history").items()) {
        config.history.push_back(read_history(entry));
    }
    config.rest_ = std::make_shared<Json>(root.raw());
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return config;
}

Config Config::make(const Platform& platform) {
    Config config;
    config.platform = platform;
    config.created = timestamp();
    return config;
}

Json Config::json() const {
    Json json = rest_ ? *rest_ : Json::object();
    json["os"] = platform.os;
    json["architecture"] = platform.architecture;
    put(json, "variant", platform.variant);
    put(json, "created", created);
    put(json, "author", author);
    Json ids = Json::array();
    for (const auto& id : diff_ids) {
        ids.push_back(id.text());
    }
    json["rootfs"] = {{"type", "layers"}, {"diff_ids", std::move(ids)}};
    Json steps = Json::array();
    for (const auto& entry : history) {
        steps.push_back(to_json(entry));
    }
    put(json, "history", steps);
    if (!json["config"].is_object()) {
        json["config"] = Json::object();
    }
    write_run(json["config"], run);
    return json;
}

std::string Config::text() const { return dump(json()); }

void Config::add_layer(const Digest& diff_id, HistoryEntry entry) {
    if (!entry.empty_layer) {
        diff_ids.push_back(diff_id);
    }
    history.push_back(std::move(entry));
}

std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids) {
    std::vector<Digest> chain;
    for (const auto& id : diff_ids) {
        chain.push_back(chain.empty() ? id : Digest::of(chain.back().text() + " " + id.text()));
    }
    return chain;
}

std::string timestamp() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (const char* fixed = std::getenv("SOURCE_DATE_EPOCH")) {
        now = {};
        std::from_chars(fixed, fixed + std::strlen(fixed), now.tv_sec);
    }
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                       parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, now.tv_nsec);
}

} // namespace strata::image
