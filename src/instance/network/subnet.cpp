#include "instance/network/subnet.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <bit>
#include <charconv>
#include <fmt/format.h>
#include <vector>

namespace strata::instance {
namespace {

constexpr Address address(unsigned a, unsigned b, unsigned c) { return a << 24 | b << 16 | c << 8; }

std::unexpected<Error> no_subnet(const std::string& text, const char* example) {
    return fail(fmt::format("'{}' is no subnet", text), fmt::format("write one as {}", example));
}

// The number behind the slash, up to `most`; 0 if there is none.
unsigned prefix_of(std::string_view text, unsigned most) {
    const auto slash = text.find('/');
    unsigned prefix = 0;
    if (slash != text.npos) {
        const auto [end, failure] =
            std::from_chars(text.data() + slash + 1, text.data() + text.size(), prefix);
        if (failure != std::errc{} || end != text.data() + text.size() || prefix > most) {
            return 0;
        }
    }
    return prefix;
}

std::vector<Subnet> candidates(bool is_default) {
    std::vector<Subnet> all;
    if (!is_default) {
        for (unsigned second = 133; second < 256; ++second) {
            for (unsigned third = 0; third < 256; ++third) {
                all.push_back({.base = address(10, second, third), .prefix = 24});
            }
        }
        return all;
    }
    for (const unsigned second : {29, 30, 31, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17}) {
        all.push_back({.base = address(172, second, 0), .prefix = 16});
    }
    for (unsigned third = 0; third < 256; third += 16) {
        all.push_back({.base = address(192, 168, third), .prefix = 20});
    }
    return all;
}

} // namespace

Result<Subnet> parse_subnet(const std::string& text) {
    constexpr auto example = "10.20.30.0/24";
    in_addr bytes{};
    Subnet subnet{.base = 0, .prefix = prefix_of(text, 30)};
    if (subnet.prefix == 0 || inet_pton(AF_INET, text.substr(0, text.find('/')).c_str(), &bytes) != 1) {
        return no_subnet(text, example);
    }
    subnet.base = ntohl(bytes.s_addr);
    return (subnet.base & subnet.mask()) == 0 ? Result<Subnet>(subnet) : no_subnet(text, example);
}

Result<Subnet6> parse_subnet6(const std::string& text) {
    constexpr auto example = "fd00:1:2:3::/64";
    constexpr unsigned longest = 96;
    Subnet6 subnet{.base = {}, .prefix = prefix_of(text, longest)};
    if (!subnet || inet_pton(AF_INET6, text.substr(0, text.find('/')).c_str(), subnet.base.data()) != 1) {
        return no_subnet(text, example);
    }
    for (unsigned bit = subnet.prefix; bit < 8 * subnet.base.size(); ++bit) {
        if ((subnet.base[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return no_subnet(text, example);
        }
    }
    return subnet;
}

Result<Address> parse_address(const std::string& text) {
    in_addr bytes{};
    if (inet_pton(AF_INET, text.c_str(), &bytes) != 1) {
        return fail(fmt::format("'{}' is no address", text), "write one as 10.20.30.40");
    }
    return ntohl(bytes.s_addr);
}

std::string text_of(const Subnet& subnet) {
    return fmt::format("{}/{}", text_of(subnet.base), subnet.prefix);
}

std::string text_of(const Subnet6& subnet) {
    return subnet ? fmt::format("{}/{}", text_of(subnet.base), subnet.prefix) : "";
}

bool overlap(const Subnet& one, const Subnet& other) { return one.has(other.base) || other.has(one.base); }

Address6 address_in(const Subnet6& subnet, Address address) {
    auto result = subnet.base;
    for (unsigned i = 0; i < sizeof address; ++i) {
        result[15 - i] = static_cast<std::uint8_t>(address >> 8 * i);
    }
    return result;
}

Result<Subnet> free_subnet(std::span<const Subnet> used, bool is_default) {
    for (const auto& candidate : candidates(is_default)) {
        if (std::ranges::none_of(used, [&](const Subnet& other) { return overlap(candidate, other); })) {
            return candidate;
        }
    }
    return fail("no subnet is free for a network of containers",
                "the host's addresses and routes take them all; choose one: strata network create --subnet");
}

} // namespace strata::instance
