#include "backends/net/port_forward.hpp"

#include <arpa/inet.h>
#include <charconv>
#include <fmt/format.h>
#include <netinet/in.h>
#include <optional>

namespace strata::backends {

namespace {

std::unexpected<Error> malformed(std::string_view text) {
    return fail(fmt::format("port forward '{}': not of the form [ADDRESS:]HOST:GUEST[/tcp|/udp]", text),
                "for example -p 8080:80, -p 127.0.0.1:2222:22 or -p 5353:53/udp");
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0) {
        return std::nullopt;
    }
    return port;
}

bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Cuts off and returns what follows the last `separator`; empty if there is none.
std::optional<std::string_view> cut_last(std::string_view& text, char separator) {
    const auto at = text.rfind(separator);
    if (at == std::string_view::npos) {
        return std::nullopt;
    }
    const auto last = text.substr(at + 1);
    text = text.substr(0, at);
    return last;
}

bool is_address(const std::string& text) {
    in_addr address{};
    return inet_pton(AF_INET, text.c_str(), &address) == 1;
}

} // namespace

Result<PortForward> parse_port_forward(std::string_view text) {
    PortForward forward;
    auto rest = text;
    if (const auto protocol = cut_last(rest, '/')) {
        if (*protocol != "tcp" && *protocol != "udp") {
            return malformed(text);
        }
        forward.udp = *protocol == "udp";
    }
    const auto guest = cut_last(rest, ':');
    const auto colon = rest.rfind(':');
    const auto host = colon == std::string_view::npos ? rest : rest.substr(colon + 1);
    if (!guest || !is_number(*guest) || !is_number(host)) {
        return malformed(text);
    }
    const auto guest_port = parse_port(*guest), host_port = parse_port(host);
    if (!guest_port || !host_port) {
        return fail(fmt::format("port forward '{}': {} is not a port", text, host_port ? *guest : host),
                    "ports are 1 to 65535");
    }
    forward.guest_port = *guest_port;
    forward.host_port = *host_port;
    if (colon != std::string_view::npos) {
        forward.host_address = rest.substr(0, colon);
        if (!is_address(forward.host_address)) {
            return fail(
                fmt::format("port forward '{}': '{}' is not an IPv4 address", text, forward.host_address),
                "give an address of this host as numbers, as in 127.0.0.1:8080:80");
        }
    }
    return forward;
}

bool overlap(const PortForward& one, const PortForward& other) {
    return one.udp == other.udp && one.host_port == other.host_port &&
           (one.host_address.empty() || other.host_address.empty() || one.host_address == other.host_address);
}

std::string to_string(const PortForward& forward) {
    return fmt::format("{}{}{}:{}{}", forward.host_address, forward.host_address.empty() ? "" : ":",
                       forward.host_port, forward.guest_port, forward.udp ? "/udp" : "");
}

} // namespace strata::backends
