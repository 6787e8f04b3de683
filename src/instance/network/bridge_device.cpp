#include "instance/network/bridge_device.hpp"

#include "base/atomic_file.hpp"
#include "instance/network/nat.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/file.h>
#include <unistd.h>

namespace strata::instance {
namespace {

constexpr auto lock_path = "/run/strata-networks.lock";

constexpr std::string_view tag_begin = "strata network ", tag_middle = " of ";
constexpr std::size_t longest_tag = 255; // IFALIASZ of linux/if.h, without the zero

std::string place_of(const Instances& instances) {
    return std::filesystem::absolute(instances.directory()).lexically_normal();
}

std::string tag_of(const Instances& instances, const Network& network) {
    const auto id = fmt::format("{}{}", tag_begin, network.id);
    const auto whole = fmt::format("{}{}{}", id, tag_middle, place_of(instances));
    return whole.size() <= longest_tag ? whole : id; // then nobody else knows where its state is
}

std::optional<Link> find_bridge(const Instances& instances, const Netlink& host, const Network& network) {
    const auto link = network.device.empty() ? std::nullopt : host.link(network.device);
    return link && link->alias == tag_of(instances, network) ? link : std::nullopt;
}

// Somebody may have got the network's subnet while it had no bridge.
Result<void> need_own_subnet(const Instances& instances, const Netlink& host, Network& network) {
    auto used = host.used_subnets(0);
    if (!used) {
        return std::unexpected(used.error());
    }
    const auto is_taken = [&](const Subnet& other) { return overlap(network.subnet, other); };
    if (std::ranges::none_of(*used, is_taken)) {
        return {};
    }
    if (!network.is_chosen) {
        return fail(fmt::format("the subnet {} of network '{}' is used by this host for something else",
                                text_of(network.subnet), network.name),
                    "make the network again with another one (strata network create --subnet)");
    }
    const auto all = list_networks(instances);
    if (!all) {
        return std::unexpected(all.error());
    }
    for (const auto& other : *all) {
        if (other.id != network.id) {
            used->push_back(other.subnet);
        }
    }
    const auto subnet = free_subnet(*used, network.is_default());
    if (!subnet) {
        return std::unexpected(subnet.error());
    }
    network.subnet = *subnet;
    network.gateway = subnet->base + 1;
    network.last_given = 0;
    return {};
}

Result<void> make_bridge(const Instances& instances, const Netlink& host, Network& network) {
    drop_orphaned_bridges(instances, host);
    if (auto own = need_own_subnet(instances, host, network); !own) {
        return own;
    }
    for (unsigned number = 0;; ++number) {
        network.device = fmt::format("{}{}", bridge_prefix, number);
        if (host.link(network.device)) {
            continue;
        }
        if (auto saved = save_network(instances, network); !saved) {
            return saved;
        }
        const auto made = host.make_bridge(network.device, tag_of(instances, network));
        if (made || made.error().code != EEXIST) {
            return made;
        }
    }
}

// Rules first: a bridge that is left is found again, they are not.
void remove_bridge(const Netlink& host, const Link& bridge) {
    remove_rules(bridge.name);
    static_cast<void>(host.remove_device(bridge.index));
}

// Whether a bridge's network is no more, as far as it can be told.
bool is_orphan(const Instances& instances, const Link& bridge) {
    const std::string_view tag = bridge.alias;
    if (tag.empty()) { // who made it was killed before the tag was there
        return !bridge.is_on && bridge.name.starts_with(bridge_prefix);
    }
    const auto middle = tag.find(tag_middle, tag_begin.size());
    if (!tag.starts_with(tag_begin) || middle == tag.npos) {
        return false;
    }
    const auto id = tag.substr(tag_begin.size(), middle - tag_begin.size());
    const auto place = std::string(tag.substr(middle + tag_middle.size()));
    if (place == place_of(instances)) {
        const auto network = find_network(instances, std::string(id));
        return !network && network.error().code == ENOENT;
    }
    return access((place + "/state.db").c_str(), F_OK) != 0 && errno == ENOENT;
}

} // namespace

FileDescriptor lock_bridges() {
    FileDescriptor file(open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    while (flock(file.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    return file;
}

bool host_has_ipv6() {
    std::ifstream setting("/proc/sys/net/ipv6/conf/all/disable_ipv6");
    return setting.get() == '0';
}

Result<unsigned> need_bridge(const Instances& instances, const Netlink& host, Network& network) {
    auto bridge = find_bridge(instances, host, network);
    auto done = bridge ? Result<void>{} : make_bridge(instances, host, network);
    const auto& device = network.device;
    done = done ? host.add_address(device, network.gateway, network.subnet.prefix) : done;
    done = done ? host.switch_on(device) : done;
    done = done ? need_rules(device, network.subnet, network.internal) : done;
    if (network.subnet6 && host_has_ipv6()) {
        const auto gateway = address_in(network.subnet6, network.gateway);
        done = done ? host.add_address(device, gateway, network.subnet6.prefix) : done;
        done = done ? need_rules(device, network.subnet6, network.internal) : done;
    }
    if (done && !network.internal) { // packets between the bridge and other devices
        const FileDescriptor file(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC));
        done = write_all(file.get(), "1", "/proc/sys/net/ipv4/ip_forward");
    }
    if (done && !bridge) {
        bridge = host.link(device);
    }
    return done ? Result<unsigned>(bridge.value_or(Link{}).index) : std::unexpected(done.error());
}

void drop_bridge(const Instances& instances, const Netlink& host, const Network& network) {
    const auto others = endpoints_in(instances, network);
    const bool is_used =
        !others || std::ranges::any_of(*others, [](const Endpoint& other) { return other.address != 0; });
    const auto bridge = find_bridge(instances, host, network);
    if (!is_used && bridge) {
        remove_bridge(host, *bridge);
    }
}

void drop_orphaned_bridges(const Instances& instances, const Netlink& host) {
    const auto links = host.links();
    if (!links) {
        return;
    }
    for (const auto& link : *links) {
        const bool is_used = std::ranges::find(*links, link.index, &Link::master) != links->end();
        if (link.is_bridge && !is_used && is_orphan(instances, link)) {
            remove_bridge(host, link);
        }
    }
}

} // namespace strata::instance
