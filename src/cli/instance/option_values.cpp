#include "cli/instance/option_values.hpp"

#include "cli/parse.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>

namespace strata::cli {
namespace {

using instance::MountPoint;
using instance::Port;

Result<std::uint16_t> port_number(const std::string& text, const std::string& whole) {
    std::uint16_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc{} || end != text.data() + text.size() || number == 0) {
        return fail(fmt::format("port '{}' is not a number from 1 to 65535, in '{}'", text, whole),
                    "a port is published as [ADDRESS:][HOST:]CONTAINER[/udp], for example 8080:80");
    }
    return number;
}

} // namespace

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts{""};
    for (const char c : text) {
        if (c == separator) {
            parts.emplace_back();
        } else {
            parts.back() += c;
        }
    }
    return parts;
}

std::pair<std::string, std::string> key_and_value(const std::string& text) {
    const auto equals = text.find('=');
    return equals == std::string::npos ? std::pair(text, std::string{})
                                       : std::pair(text.substr(0, equals), text.substr(equals + 1));
}

std::string upper_case(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return text;
}

Result<std::int64_t> size_of(const std::string& text) {
    if (text.empty()) {
        return 0;
    }
    if (text == "-1") {
        return -1;
    }
    auto plain = upper_case(text);
    if (plain.size() > 1 && plain.ends_with('B')) {
        plain.pop_back();
    }
    const auto size = parse_size(plain);
    if (!size) {
        return std::unexpected(size.error());
    }
    return static_cast<std::int64_t>(*size);
}

Result<void> check_target(const std::string& target, const std::string& whole) {
    if (!target.starts_with('/')) {
        return fail(fmt::format("'{}': '{}' is not an absolute path in the container", whole, target));
    }
    return {};
}

Result<Port> parse_port(const std::string& text) {
    Port port;
    auto rest = text;
    if (const auto slash = rest.find('/'); slash != std::string::npos) {
        port.protocol = rest.substr(slash + 1);
        rest = rest.substr(0, slash);
    }
    if (port.protocol != "tcp" && port.protocol != "udp") {
        return fail(fmt::format("protocol '{}' in '{}' is not tcp or udp", port.protocol, text));
    }
    const auto colon = rest.rfind(':');
    const auto inner = port_number(rest.substr(colon == std::string::npos ? 0 : colon + 1), text);
    if (!inner) {
        return std::unexpected(inner.error());
    }
    port.container = *inner;
    if (colon == std::string::npos) {
        return port;
    }
    rest = rest.substr(0, colon);
    const auto before = rest.rfind(':');
    const auto host = before == std::string::npos ? rest : rest.substr(before + 1);
    port.host_address = before == std::string::npos ? "" : rest.substr(0, before);
    if (!host.empty()) {
        const auto outer = port_number(host, text);
        if (!outer) {
            return std::unexpected(outer.error());
        }
        port.host = *outer;
    }
    return port;
}

Result<MountPoint> parse_volume(const std::string& text) {
    const auto parts = split(text, ':');
    if (parts.size() > 3) {
        return fail(fmt::format("volume '{}' has too many parts", text), "write SOURCE:TARGET[:ro]");
    }
    MountPoint point{.type = "volume", .target = parts.size() == 1 ? parts[0] : parts[1]};
    if (parts.size() > 1) {
        point.source = parts[0];
        const bool is_path =
            point.source.starts_with('/') || point.source.starts_with('.') || point.source.starts_with('~');
        if (is_path) {
            point.type = "bind";
            point.source = std::filesystem::absolute(point.source).lexically_normal().string();
        }
    }
    for (const auto& option : parts.size() > 2 ? split(parts[2], ',') : std::vector<std::string>{}) {
        if (option == "ro") {
            point.read_only = true;
        } else if (option != "rw" && option != "z" && option != "Z" && option != "") {
            point.options.push_back(option);
        }
    }
    if (auto good = check_target(point.target, text); !good) {
        return std::unexpected(good.error());
    }
    return point;
}

Result<MountPoint> parse_mount(const std::string& text) {
    MountPoint point{.type = "volume"};
    for (const auto& part : split(text, ',')) {
        const auto [key, value] = key_and_value(part);
        if (key == "type") {
            point.type = value;
        } else if (key == "source" || key == "src") {
            point.source = value;
        } else if (key == "target" || key == "destination" || key == "dst") {
            point.target = value;
        } else if (key == "readonly" || key == "ro") {
            point.read_only = value.empty() || value == "true" || value == "1";
        } else if (key == "tmpfs-size") {
            const auto size = size_of(value);
            if (!size) {
                return std::unexpected(size.error());
            }
            point.options.push_back(fmt::format("size={}", *size));
        } else if (key == "tmpfs-mode") {
            point.options.push_back("mode=" + value);
        } else if (key == "bind-propagation") {
            point.options.push_back(value);
        } else {
            return fail(fmt::format("--mount {}: '{}' is not known", text, key),
                        "use type=bind|volume|tmpfs, source=, target=, readonly, tmpfs-size=, tmpfs-mode=");
        }
    }
    if (point.type != "bind" && point.type != "volume" && point.type != "tmpfs") {
        return fail(fmt::format("--mount {}: type '{}' is not bind, volume or tmpfs", text, point.type));
    }
    if (point.type == "bind" && !point.source.starts_with('/')) {
        return fail(fmt::format("--mount {}: source is not an absolute path", text));
    }
    if (auto good = check_target(point.target, text); !good) {
        return std::unexpected(good.error());
    }
    return point;
}

} // namespace strata::cli
