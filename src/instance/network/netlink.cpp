#include "instance/network/netlink.hpp"

#include "instance/network/subnet.hpp"

#include <arpa/inet.h>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string_view>
#include <utility>

namespace strata::instance {
namespace {

constexpr std::uint32_t sequence = 1;

ifinfomsg* put_link(nlmsghdr* message, unsigned index = 0) {
    auto* link = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg)));
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = static_cast<int>(index);
    return link;
}

// An attribute of a message behind its header of `size` bytes; null when there is none.
const nlattr* find_attribute(const nlmsghdr* message, std::size_t size, std::uint16_t type) {
    struct Search {
        std::uint16_t type;
        const nlattr* found;
    } search{type, nullptr};

    const auto look = [](const nlattr* attribute, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        if (mnl_attr_get_type(attribute) == wanted.type) {
            wanted.found = attribute;
        }
        return MNL_CB_OK;
    };
    mnl_attr_parse(message, static_cast<unsigned>(size), look, &search);
    return search.found;
}

std::string text_attribute(const nlmsghdr* message, std::size_t size, std::uint16_t type) {
    const auto* found = find_attribute(message, size, type);
    return found != nullptr && mnl_attr_validate(found, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(found)
                                                                                  : "";
}

std::optional<Address> address_attribute(const nlmsghdr* message, std::size_t size, std::uint16_t type) {
    const auto* found = find_attribute(message, size, type);
    return found != nullptr && mnl_attr_get_payload_len(found) == sizeof(Address)
               ? std::optional<Address>(ntohl(mnl_attr_get_u32(found)))
               : std::nullopt;
}

bool is_bridge(const nlmsghdr* message) {
    const auto look = [](const nlattr* part, void* found) {
        if (mnl_attr_get_type(part) == IFLA_INFO_KIND && mnl_attr_validate(part, MNL_TYPE_NUL_STRING) >= 0) {
            *static_cast<bool*>(found) = std::string_view(mnl_attr_get_str(part)) == "bridge";
        }
        return MNL_CB_OK;
    };
    bool found = false;
    if (const auto* info = find_attribute(message, sizeof(ifinfomsg), IFLA_LINKINFO)) {
        mnl_attr_parse_nested(info, look, &found);
    }
    return found;
}

Link read_link(const nlmsghdr* message) {
    const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
    const auto* master = find_attribute(message, sizeof *header, IFLA_MASTER);
    const bool has_master = master != nullptr && mnl_attr_validate(master, MNL_TYPE_U32) >= 0;
    return {.index = static_cast<unsigned>(header->ifi_index),
            .master = has_master ? mnl_attr_get_u32(master) : 0,
            .name = text_attribute(message, sizeof *header, IFLA_IFNAME),
            .alias = text_attribute(message, sizeof *header, IFLA_IFALIAS),
            .is_bridge = is_bridge(message),
            .is_on = (header->ifi_flags & IFF_UP) != 0};
}

} // namespace

std::string text_of(Address address) {
    return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xFF, address >> 8 & 0xFF,
                       address & 0xFF);
}

std::string text_of(const Address6& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(AF_INET6, address.data(), text.data(), text.size());
    return text.data();
}

Result<Netlink> Netlink::open(int bus) {
    mnl_socket* socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
    if (socket == nullptr) {
        return fail_errno("open", "a netlink socket");
    }
    Netlink netlink(socket);
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        return fail_errno("open", "a netlink socket");
    }
    return netlink;
}

Netlink::~Netlink() {
    if (socket_ != nullptr) {
        mnl_socket_close(socket_);
    }
}

Netlink::Netlink(Netlink&& other) noexcept : socket_(std::exchange(other.socket_, nullptr)) {}

Result<void> Netlink::talk(const void* messages, std::size_t size, std::uint32_t first, std::uint32_t last,
                           const std::string& what) const {
    if (mnl_socket_sendto(socket_, messages, size) < 0) {
        return fail_errno(what, "");
    }
    alignas(nlmsghdr) std::array<char, 16384> buffer{};
    for (auto expected = first; expected <= last; ++expected) {
        const auto got = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
        if (got < 0) {
            return fail_errno(what, "");
        }
        if (mnl_cb_run(buffer.data(), static_cast<std::size_t>(got), 0, 0, nullptr, nullptr) < 0) {
            auto error = fail_errno(what, "");
            error.error().code = errno;
            return error;
        }
    }
    return {};
}

Result<void> Netlink::ask(std::uint16_t type, std::uint16_t flags, const std::function<void(nlmsghdr*)>& fill,
                          const std::string& what) const {
    alignas(nlmsghdr) std::array<char, 4096> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = type;
    message->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    message->nlmsg_seq = sequence;
    fill(message);
    return talk(message, message->nlmsg_len, sequence, sequence, what);
}

std::optional<Link> Netlink::link(const std::string& device) const {
    alignas(nlmsghdr) std::array<char, 16384> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = RTM_GETLINK;
    message->nlmsg_flags = NLM_F_REQUEST;
    message->nlmsg_seq = sequence;
    put_link(message);
    mnl_attr_put_strz(message, IFLA_IFNAME, device.c_str());
    if (mnl_socket_sendto(socket_, message, message->nlmsg_len) < 0) {
        return std::nullopt;
    }
    const auto got = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer.data());
    return got >= static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof(ifinfomsg)) &&
                   answer->nlmsg_type == RTM_NEWLINK
               ? std::optional<Link>(read_link(answer))
               : std::nullopt;
}

unsigned Netlink::index_of(const std::string& device) const { return link(device).value_or(Link{}).index; }

Result<std::vector<Link>> Netlink::links() const {
    std::vector<Link> links;
    const auto done = dump(RTM_GETLINK, [&](const nlmsghdr* answer) { links.push_back(read_link(answer)); });
    return done ? Result<std::vector<Link>>(std::move(links)) : std::unexpected(done.error());
}

Result<void> Netlink::make_bridge(const std::string& name, const std::string& alias) const {
    auto made = ask(
        RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
        [&](nlmsghdr* message) {
            put_link(message);
            mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
            nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
            mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
            mnl_attr_nest_end(message, info);
        },
        "make network bridge " + name);
    return !made ? made
                 : ask(
                       RTM_NEWLINK, 0,
                       [&](nlmsghdr* message) {
                           put_link(message);
                           mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
                           mnl_attr_put_strz(message, IFLA_IFALIAS, alias.c_str());
                       },
                       "name network bridge " + name);
}

Result<void> Netlink::dump(std::uint16_t type, const std::function<void(const nlmsghdr*)>& look) const {
    alignas(nlmsghdr) std::array<char, 64> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message->nlmsg_seq = sequence;
    static_cast<rtgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtgenmsg)))->rtgen_family = AF_INET;
    return ask_for_all(message, look);
}

Result<void> Netlink::ask_for_all(const nlmsghdr* request,
                                  const std::function<void(const nlmsghdr*)>& look) const {
    if (mnl_socket_sendto(socket_, request, request->nlmsg_len) < 0) {
        return fail_errno("look at", "the host's networks");
    }
    alignas(nlmsghdr) std::array<char, 32768> buffer{};
    while (true) {
        const auto got = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
        if (got < 0) {
            return fail_errno("look at", "the host's networks");
        }
        auto left = static_cast<int>(got);
        for (const auto* answer = reinterpret_cast<const nlmsghdr*>(buffer.data());
             mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left)) {
            if (answer->nlmsg_type == NLMSG_DONE || answer->nlmsg_type == NLMSG_ERROR) {
                return {};
            }
            look(answer);
        }
    }
}

Result<std::vector<Subnet>> Netlink::used_subnets(unsigned except) const {
    std::vector<Subnet> used;
    const auto add = [&](std::optional<Address> address, unsigned prefix, unsigned device) {
        if (address && prefix > 0 && prefix <= 32 && (except == 0 || device != except)) {
            Subnet subnet{.base = *address, .prefix = prefix};
            subnet.base &= ~subnet.mask();
            used.push_back(subnet);
        }
    };
    auto done = dump(RTM_GETADDR, [&](const nlmsghdr* answer) {
        const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(answer));
        add(address_attribute(answer, sizeof *header, IFA_LOCAL), header->ifa_prefixlen, header->ifa_index);
    });
    done = done ? dump(RTM_GETROUTE,
                       [&](const nlmsghdr* answer) {
                           const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(answer));
                           add(address_attribute(answer, sizeof *header, RTA_DST), header->rtm_dst_len,
                               address_attribute(answer, sizeof *header, RTA_OIF)
                                   .transform([](Address raw) { return htonl(raw); })
                                   .value_or(0));
                       })
                : done;
    return done ? Result<std::vector<Subnet>>(std::move(used)) : std::unexpected(done.error());
}

Result<void> Netlink::make_line(const std::string& near, unsigned bridge, const FarEnd& far) const {
    return ask(
        RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
        [&](nlmsghdr* message) {
            auto* link = put_link(message);
            link->ifi_flags = IFF_UP;
            link->ifi_change = IFF_UP;
            mnl_attr_put_strz(message, IFLA_IFNAME, near.c_str());
            mnl_attr_put_u32(message, IFLA_MASTER, bridge);
            nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
            mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
            nlattr* data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
            nlattr* peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
            mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg));
            mnl_attr_put_strz(message, IFLA_IFNAME, far.device.c_str());
            mnl_attr_put(message, IFLA_ADDRESS, far.address.size(), far.address.data());
            mnl_attr_put_u32(message, IFLA_NET_NS_FD, static_cast<std::uint32_t>(far.space));
            mnl_attr_nest_end(message, peer);
            mnl_attr_nest_end(message, data);
            mnl_attr_nest_end(message, info);
        },
        "make network device " + near);
}

Result<void> Netlink::remove_device(const std::string& name) const {
    return ask(
        RTM_DELLINK, 0,
        [&](nlmsghdr* message) {
            put_link(message);
            mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
        },
        "remove network device " + name);
}

Result<void> Netlink::remove_device(unsigned index) const {
    return ask(
        RTM_DELLINK, 0, [&](nlmsghdr* message) { put_link(message, index); },
        fmt::format("remove network device {}", index));
}

Result<void> Netlink::switch_on(const std::string& name) const {
    return ask(
        RTM_NEWLINK, 0,
        [&](nlmsghdr* message) {
            auto* link = put_link(message);
            link->ifi_flags = IFF_UP;
            link->ifi_change = IFF_UP;
            mnl_attr_put_strz(message, IFLA_IFNAME, name.c_str());
        },
        "switch on network device " + name);
}

Result<void> Netlink::add_address(const std::string& name, Address address, unsigned prefix) const {
    auto added = ask(
        RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
        [&](nlmsghdr* message) {
            auto* header = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)));
            header->ifa_family = AF_INET;
            header->ifa_prefixlen = static_cast<std::uint8_t>(prefix);
            header->ifa_index = index_of(name);
            mnl_attr_put_u32(message, IFA_LOCAL, htonl(address));
            mnl_attr_put_u32(message, IFA_ADDRESS, htonl(address));
            const Address broadcast = address | ((1U << (32 - prefix)) - 1);
            mnl_attr_put_u32(message, IFA_BROADCAST, htonl(broadcast));
        },
        fmt::format("give {} the address {}", name, text_of(address)));
    return added || added.error().code == EEXIST ? Result<void>{} : added;
}

Result<void> Netlink::add_address(const std::string& name, const Address6& address, unsigned prefix) const {
    auto added = ask(
        RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
        [&](nlmsghdr* message) {
            auto* header = static_cast<ifaddrmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(ifaddrmsg)));
            header->ifa_family = AF_INET6;
            header->ifa_prefixlen = static_cast<std::uint8_t>(prefix);
            header->ifa_flags = IFA_F_NODAD;
            header->ifa_index = index_of(name);
            mnl_attr_put(message, IFA_LOCAL, address.size(), address.data());
            mnl_attr_put(message, IFA_ADDRESS, address.size(), address.data());
        },
        fmt::format("give {} the address {}", name, text_of(address)));
    return added || added.error().code == EEXIST ? Result<void>{} : added;
}

Result<void> Netlink::add_route(std::uint8_t family, std::span<const std::uint8_t> gateway,
                                const std::string& what) const {
    auto added = ask(
        RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
        [&](nlmsghdr* message) {
            auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
            route->rtm_family = family;
            route->rtm_table = RT_TABLE_MAIN;
            route->rtm_protocol = RTPROT_STATIC;
            route->rtm_scope = RT_SCOPE_UNIVERSE;
            route->rtm_type = RTN_UNICAST;
            mnl_attr_put(message, RTA_GATEWAY, gateway.size(), gateway.data());
        },
        what);
    return added || added.error().code == EEXIST ? Result<void>{} : added;
}

Result<void> Netlink::add_default_route(Address gateway) const {
    const auto bytes = std::bit_cast<std::array<std::uint8_t, sizeof gateway>>(htonl(gateway));
    return add_route(AF_INET, bytes, "add a route by " + text_of(gateway));
}

Result<void> Netlink::add_default_route(const Address6& gateway) const {
    return add_route(AF_INET6, gateway, "add a route by " + text_of(gateway));
}

} // namespace strata::instance
