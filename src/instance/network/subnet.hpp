// Subnets of IPv4 and IPv6 in the notation of RFC 4632 and RFC 4291, "172.29.0.0/16" and "fd00::/64".
#pragma once

#include "base/error.hpp"
#include "instance/network/netlink.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace strata::instance {

struct Subnet {
    Address base = 0;
    unsigned prefix = 32;

    [[nodiscard]] Address last() const { return base | mask(); }

    [[nodiscard]] bool has(Address address) const { return (address & ~mask()) == base; }

    [[nodiscard]] Address mask() const { return prefix == 0 ? ~0U : (1U << (32 - prefix)) - 1; } // of hosts
};

struct Subnet6 {
    Address6 base{};
    unsigned prefix = 0; // 0: there is none

    explicit operator bool() const { return prefix != 0; }
};

// What belongs to the subnet has no other bits: 10.0.0.1/8 is refused.
[[nodiscard]] Result<Subnet> parse_subnet(const std::string& text);
// At least 32 bits are the hosts'.
[[nodiscard]] Result<Subnet6> parse_subnet6(const std::string& text);
[[nodiscard]] Result<Address> parse_address(const std::string& text);
[[nodiscard]] std::string text_of(const Subnet& subnet);
[[nodiscard]] std::string text_of(const Subnet6& subnet);

[[nodiscard]] bool overlap(const Subnet& one, const Subnet& other);

// The address whose last 32 bits are those of an IPv4 address.
[[nodiscard]] Address6 address_in(const Subnet6& subnet, Address address);

// One that overlaps none of `used`: for the default network of containers 172.29.0.0/16 if it can be, else
// one of 172.16.0.0/12 or 192.168.0.0/16; for others one of 256 addresses in 10.0.0.0/8.
[[nodiscard]] Result<Subnet> free_subnet(std::span<const Subnet> used, bool is_default);

} // namespace strata::instance
