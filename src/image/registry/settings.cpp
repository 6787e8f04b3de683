#include "image/registry/settings.hpp"

#include "base/file.hpp"
#include "base/json_reader.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::image {
namespace {

constexpr std::uint64_t largest_file = 1U << 20;

// A member nobody reads is a mistake of its writer, who would like to know.
void refuse_unknown(const JsonNode& node, std::initializer_list<std::string_view> known) {
    for (const auto& key : node.keys()) {
        if (std::ranges::find(known, key) == known.end()) {
            node.find(key).refuse("is not a setting");
        }
    }
}

RegistrySettings read_registry(const JsonNode& node) {
    refuse_unknown(node, {"mirrors", "ca", "plain_http", "verify_tls"});
    RegistrySettings settings{.mirrors = node.find("mirrors").strings(),
                              .ca = node.find("ca").string(),
                              .plain_http = node.find("plain_http").boolean()};
    if (const auto verify = node.find("verify_tls")) {
        settings.verify_tls = verify.boolean();
    }
    return settings;
}

std::string user_file() {
    const char* configuration = std::getenv("XDG_CONFIG_HOME");
    const char* home = std::getenv("HOME");
    if (configuration != nullptr && *configuration != '\0') {
        return std::string(configuration) + "/strata/registries.json";
    }
    return home != nullptr ? std::string(home) + "/.config/strata/registries.json" : "";
}

Result<void> read_if_present(Settings& settings, const std::string& path, bool required) {
    if (path.empty() || (!required && access(path.c_str(), F_OK) != 0)) {
        return {};
    }
    const auto content = read_file(path, "registry settings", largest_file);
    if (!content) {
        return std::unexpected(content.error());
    }
    return settings.read({reinterpret_cast<const char*>(content->data()), content->size()}, path);
}

bool is_loopback(const std::string& registry) {
    const auto host =
        registry.substr(0, registry.starts_with('[') ? registry.find(']') + 1 : registry.find(':'));
    return host == "localhost" || host == "[::1]" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

} // namespace

Result<void> Settings::read(std::string_view text, std::string_view path) {
    JsonReader reader{fmt::format("registry settings {}", path)};
    const auto root = reader.parse(text);
    refuse_unknown(root, {"search", "registries", "aliases", "stall_seconds"});
    if (const auto list = root.find("search")) {
        search = list.strings();
    }
    const auto table = root.find("registries");
    for (const auto& name : table.keys()) {
        registries[name] = read_registry(table.find(name));
    }
    for (auto& [alias, name] : root.find("aliases").string_map()) {
        aliases[alias] = name;
    }
    if (const auto seconds = root.find("stall_seconds")) {
        stall = std::chrono::seconds(seconds.number(86400));
    }
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return {};
}

Result<Settings> Settings::load() {
    Settings settings;
    const char* only = std::getenv("STRATA_REGISTRIES");
    if (only != nullptr) {
        if (auto read = read_if_present(settings, only, true); !read) {
            return std::unexpected(read.error());
        }
        return settings;
    }
    for (const auto& path : {std::string("/etc/strata/registries.json"), user_file()}) {
        if (auto read = read_if_present(settings, path, false); !read) {
            return std::unexpected(read.error());
        }
    }
    return settings;
}

RegistrySettings Settings::of(const std::string& registry) const {
    if (const auto found = registries.find(registry); found != registries.end()) {
        return found->second;
    }
    return {.plain_http = is_loopback(registry)};
}

std::string Settings::resolve_alias(const std::string& text) const {
    const auto end = text.find_first_of(":@");
    const auto found = aliases.find(text.substr(0, end));
    return found == aliases.end() ? text : found->second + (end == std::string::npos ? "" : text.substr(end));
}

} // namespace strata::image
