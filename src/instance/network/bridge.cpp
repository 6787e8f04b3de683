#include "instance/network/bridge.hpp"

#include "base/atomic_file.hpp"
#include "instance/network/nat.hpp"
#include "instance/network/netlink.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <linux/netlink.h>
#include <sched.h>

namespace strata::instance {
namespace {

constexpr Address network = 172U << 24 | 29U << 16, gateway = network + 1; // 172.29.0.0/16
constexpr unsigned prefix = bridge_prefix;
// A unique local network (RFC 4193); an instance's address ends with its IPv4 address.
constexpr Address6 network6{0xFD, 's', 't', 'r', 'a', 't', 'a'};
constexpr unsigned prefix6 = 64;
constexpr Address last = network + (1U << (32 - prefix)) - 2;

Address6 address6_of(Address address) {
    auto result = network6;
    for (unsigned i = 0; i < 4; ++i) {
        result[15 - i] = static_cast<std::uint8_t>(address >> 8 * i);
    }
    return result;
}

bool host_has_ipv6() {
    std::ifstream setting("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    return setting.get() == '0';
}

std::string outer_device(const Instance& instance) { return "st" + instance.id.substr(0, 12); }

// The lowest address that nobody has; it is this instance's until it is given back.
Result<Address> take_address(const Instances& instances, const Instance& instance) {
    Address taken = 0;
    const auto done = instances.database().transaction([&]() -> Result<void> {
        auto own = instances.database().prepare("SELECT address FROM addresses WHERE instance = ?");
        const auto known = own.bind(instance.id).step();
        if (!known) {
            return std::unexpected(known.error());
        }
        if (*known) {
            taken = static_cast<Address>(own.number());
            return {};
        }
        auto rows = instances.database().prepare("SELECT address FROM addresses ORDER BY address");
        taken = gateway + 1;
        while (true) {
            const auto more = rows.step();
            if (!more) {
                return std::unexpected(more.error());
            }
            if (!*more || static_cast<Address>(rows.number()) != taken) {
                break;
            }
            ++taken;
        }
        if (taken > last) {
            return fail("the network of containers has no free address",
                        "remove containers that nobody needs");
        }
        return instances.database()
            .prepare("INSERT INTO addresses (address, instance) VALUES (?, ?)")
            .bind(static_cast<std::int64_t>(taken))
            .bind(instance.id)
            .run();
    });
    return done ? Result<Address>(taken) : std::unexpected(done.error());
}

// A namespace, and a socket to it; this process, which has one thread, is back in its own at the end.
Result<std::pair<FileDescriptor, Netlink>> make_namespace() {
    const FileDescriptor own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!own || unshare(CLONE_NEWNET) != 0) {
        return fail_errno("make", "a network namespace");
    }
    FileDescriptor made(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    auto inside = Netlink::open(NETLINK_ROUTE);
    if (setns(own.get(), CLONE_NEWNET) != 0) {
        return fail_errno("return from", "a network namespace");
    }
    if (!made || !inside) {
        return inside ? fail_errno("open", "a network namespace") : std::unexpected(inside.error());
    }
    return std::pair(std::move(made), std::move(*inside));
}

Result<void> need_bridge(const Netlink& host) {
    auto done = host.make_bridge(bridge_name);
    done = done ? host.add_address(bridge_name, gateway, prefix) : done;
    done = done ? host.switch_on(bridge_name) : done;
    done = done ? need_masquerade(network, prefix, bridge_name) : done;
    if (host_has_ipv6()) {
        done = done ? host.add_address(bridge_name, address6_of(gateway), prefix6) : done;
        done = done ? need_masquerade(network6, prefix6, bridge_name) : done;
    }
    if (done) { // packets between the bridge and other devices
        const FileDescriptor file(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC));
        done = write_all(file.get(), "1", "/proc/sys/net/ipv4/ip_forward");
    }
    return done;
}

} // namespace

std::string bridge_gateway() { return text_of(gateway); }

Result<Connection> connect_bridge(const Instances& instances, const Instance& instance) {
    const auto host = Netlink::open(NETLINK_ROUTE);
    if (!host) {
        return std::unexpected(host.error());
    }
    if (auto needed = need_bridge(*host); !needed) {
        return std::unexpected(needed.error());
    }
    const auto address = take_address(instances, instance);
    if (!address) {
        return std::unexpected(address.error());
    }
    auto made = make_namespace();
    if (!made) {
        return std::unexpected(made.error());
    }
    auto& [space, inside] = *made;
    const auto outer = outer_device(instance);
    static_cast<void>(host->remove_device(outer)); // of a monitor that was killed
    auto done = host->make_pair(outer, "eth0", space.get());
    done = done ? host->switch_on(outer, host->index_of(bridge_name)) : done;
    done = done ? inside.switch_on("lo") : done;
    done = done ? inside.add_address("eth0", *address, prefix) : done;
    done = done ? inside.switch_on("eth0") : done;
    done = done ? inside.add_default_route(gateway) : done;
    const bool has_ipv6 = host_has_ipv6();
    if (has_ipv6) {
        done = done ? inside.add_address("eth0", address6_of(*address), prefix6) : done;
        done = done ? inside.add_default_route(address6_of(gateway)) : done;
    }
    if (!done) {
        return std::unexpected(done.error());
    }
    return Connection{.namespace_path = fmt::format("/proc/{}/fd/{}", getpid(), space.get()),
                      .address = text_of(*address),
                      .address6 = has_ipv6 ? text_of(address6_of(*address)) : "",
                      .handle = std::move(space)};
}

void disconnect_bridge(const Instances& instances, const Instance& instance) {
    if (const auto host = Netlink::open(NETLINK_ROUTE)) {
        static_cast<void>(
            host->remove_device(outer_device(instance))); // it is gone with the namespace, usually
    }
    static_cast<void>(
        instances.database().prepare("DELETE FROM addresses WHERE instance = ?").bind(instance.id).run());
}

} // namespace strata::instance
