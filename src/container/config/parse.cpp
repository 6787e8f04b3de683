#include "container/config/sections.hpp"

#include "base/file.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace strata::container {
namespace {

constexpr std::uint64_t largest_config = 16 << 20;

// Versions 1.0 to 1.3 and their later patches; the specification is compatible within a major version.
bool is_known_version(std::string_view version) {
    unsigned major = 0, minor = 0;
    const char* end = version.data() + version.size();
    auto parsed = std::from_chars(version.data(), end, major);
    if (parsed.ec != std::errc{} || parsed.ptr == end || *parsed.ptr != '.') {
        return false;
    }
    parsed = std::from_chars(parsed.ptr + 1, end, minor);
    const bool ended = parsed.ptr == end || *parsed.ptr == '.';
    return parsed.ec == std::errc{} && ended && major == 1 && minor <= 3;
}

Mount read_mount(const JsonNode& node, const std::string& bundle) {
    Mount mount{.destination = read_text(node.at("destination")),
                .type = read_text(node.find("type")),
                .source = read_text(node.find("source")),
                .options = node.find("options").strings(),
                .uid_mappings = read_id_mappings(node.find("uidMappings")),
                .gid_mappings = read_id_mappings(node.find("gidMappings"))};
    if (mount.destination.empty() && node) {
        node.refuse("has an empty destination");
    } else if (!mount.destination.empty() && mount.destination.front() != '/') {
        mount.destination.insert(0, "/"); // deprecated in 1.0, and met: as if relative to the root
    }
    const bool bind =
        mount.type == "bind" || std::ranges::any_of(mount.options, [](const std::string& option) {
            return option == "bind" || option == "rbind";
        });
    if (bind && !mount.source.starts_with('/')) {
        mount.source = bundle + "/" + mount.source;
    }
    return mount;
}

std::vector<Hook> read_hook_list(const JsonNode& list) {
    std::vector<Hook> hooks;
    for (const auto& node : list.items()) {
        Hook hook{.path = read_absolute_path(node.at("path")),
                  .args = node.find("args").strings(),
                  .env = node.find("env").strings(),
                  .timeout = {}};
        if (const auto timeout = node.find("timeout")) {
            hook.timeout = static_cast<int>(timeout.integer(1, INT32_MAX / 1000));
        }
        hooks.push_back(std::move(hook));
    }
    return hooks;
}

Config read_config(const JsonNode& root, const std::string& bundle) {
    Config config;
    config.version = root.at("ociVersion").string();
    if (!is_known_version(config.version)) {
        root.at("ociVersion").refuse("is '" + config.version + "', not a version from 1.0 to 1.3");
    }
    const auto rootfs = root.at("root");
    config.root_path = read_text(rootfs.at("path"));
    if (rootfs && config.root_path.empty()) {
        rootfs.at("path").refuse("is empty");
    }
    if (!config.root_path.starts_with('/')) {
        config.root_path = bundle + "/" + config.root_path;
    }
    config.root_readonly = rootfs.find("readonly").boolean();
    for (const auto& mount : root.find("mounts").items()) {
        config.mounts.push_back(read_mount(mount, bundle));
    }
    if (const auto process = root.find("process")) {
        config.process = read_process(process);
    }
    config.hostname = read_text(root.find("hostname"));
    config.domainname = read_text(root.find("domainname"));
    config.hooks = read_hooks(root.find("hooks"));
    config.annotations = root.find("annotations").string_map();
    read_linux(root.find("linux"), config);
    return config;
}

// What each part asks of others.
Result<void> check_consistency(const Config& config) {
    const auto refuse = [](std::string why) { return fail("config.json: " + std::move(why)); };
    if (!config.hostname.empty() && config.find_namespace(CLONE_NEWUTS) == nullptr) {
        return refuse("hostname needs a uts namespace in linux.namespaces");
    }
    if (!config.domainname.empty() && config.find_namespace(CLONE_NEWUTS) == nullptr) {
        return refuse("domainname needs a uts namespace in linux.namespaces");
    }
    if (config.find_namespace(CLONE_NEWNS) == nullptr) {
        return refuse("linux.namespaces has no mount namespace, which a container's root needs");
    }
    if (!config.find_namespace(CLONE_NEWNS)->path.empty()) {
        return refuse("linux.namespaces: the mount namespace cannot be joined: the container's root is made "
                      "in a new one");
    }
    if (config.has_new(CLONE_NEWUSER) && (config.uid_mappings.empty() || config.gid_mappings.empty())) {
        return refuse("linux.uidMappings and linux.gidMappings are needed for a new user namespace");
    }
    if (config.find_namespace(CLONE_NEWUSER) == nullptr && !config.uid_mappings.empty()) {
        return refuse("linux.uidMappings needs a user namespace in linux.namespaces");
    }
    if (!config.time_offsets.empty() && !config.has_new(CLONE_NEWTIME)) {
        return refuse("linux.timeOffsets needs a new time namespace in linux.namespaces");
    }
    if (!config.net_devices.empty() && config.find_namespace(CLONE_NEWNET) == nullptr) {
        return refuse("linux.netDevices needs a network namespace in linux.namespaces");
    }
    return {};
}

template <class T>
Result<T> finished(const JsonReader& reader, T value) {
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return value;
}

} // namespace

std::string read_text(const JsonNode& node) {
    std::string text = node.string();
    if (text.find('\0') != std::string::npos) {
        node.refuse("has a NUL character in it");
        text.clear();
    }
    return text;
}

std::string read_absolute_path(const JsonNode& node) {
    std::string path = read_text(node);
    if (node && !path.starts_with('/')) {
        node.refuse("is '" + path + "', not an absolute path");
    }
    return path;
}

std::vector<IdMapping> read_id_mappings(const JsonNode& node) {
    std::vector<IdMapping> mappings;
    for (const auto& item : node.items()) {
        mappings.push_back(
            {.container_id = static_cast<std::uint32_t>(item.at("containerID").number(UINT32_MAX)),
             .host_id = static_cast<std::uint32_t>(item.at("hostID").number(UINT32_MAX)),
             .size = static_cast<std::uint32_t>(item.at("size").number(UINT32_MAX))});
        if (mappings.back().size == 0 && item) {
            item.at("size").refuse("is 0");
        }
    }
    return mappings;
}

Hooks read_hooks(const JsonNode& node) {
    return {.prestart = read_hook_list(node.find("prestart")),
            .create_runtime = read_hook_list(node.find("createRuntime")),
            .create_container = read_hook_list(node.find("createContainer")),
            .start_container = read_hook_list(node.find("startContainer")),
            .poststart = read_hook_list(node.find("poststart")),
            .poststop = read_hook_list(node.find("poststop"))};
}

const Namespace* Config::find_namespace(int flag) const {
    const auto found = std::ranges::find(namespaces, flag, &Namespace::flag);
    return found != namespaces.end() ? &*found : nullptr;
}

bool Config::has_new(int flag) const {
    const Namespace* entry = find_namespace(flag);
    return entry != nullptr && entry->path.empty();
}

Result<Config> parse_config(std::string_view text, const std::string& bundle) {
    JsonReader reader("config.json");
    auto config = finished(reader, read_config(reader.parse(text), bundle));
    if (!config) {
        return config;
    }
    if (auto consistent = check_consistency(*config); !consistent) {
        return std::unexpected(consistent.error());
    }
    return config;
}

Result<Config> load_config(const std::string& bundle) {
    const auto bytes = read_file(bundle + "/config.json", "bundle's configuration", largest_config);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    return parse_config({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, bundle);
}

Result<Process> parse_process(std::string_view text, std::string_view name) {
    JsonReader reader{std::string(name)};
    return finished(reader, read_process(reader.parse(text)));
}

Result<Resources> parse_resources(std::string_view text, std::string_view name) {
    JsonReader reader{std::string(name)};
    return finished(reader, read_resources(reader.parse(text)));
}

} // namespace strata::container
