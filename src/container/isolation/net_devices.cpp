// Linux's rtnetlink(7): messages with attributes, each aligned to four bytes.
#include "container/isolation/net_devices.hpp"

#include "base/file_descriptor.hpp"

#include <array>
#include <cstring>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <span>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace strata::container {
namespace {

// What the kernel's macros give, without their casts.
template <class Body>
const Body* body_of(const nlmsghdr& message) {
    return reinterpret_cast<const Body*>(reinterpret_cast<const char*>(&message) + NLMSG_HDRLEN);
}

// A request under construction.
class Request {
public:
    template <class Body>
    Request(std::uint16_t type, std::uint16_t flags, const Body& body) {
        nlmsghdr header{};
        header.nlmsg_type = type;
        header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
        append(&header, sizeof header);
        append(&body, sizeof body);
    }

    void add(std::uint16_t attribute, const void* data, std::size_t size) {
        const rtattr header{.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size)), .rta_type = attribute};
        append(&header, sizeof header);
        append(data, size);
    }

    std::span<const char> finish() {
        auto* header = reinterpret_cast<nlmsghdr*>(bytes_.data());
        header->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
        return bytes_;
    }

private:
    void append(const void* data, std::size_t size) {
        const auto at = bytes_.size();
        bytes_.resize(NLMSG_ALIGN(at + size));
        std::memcpy(bytes_.data() + at, data, size);
    }

    std::vector<char> bytes_;
};

struct Address {
    ifaddrmsg body;
    std::vector<std::pair<std::uint16_t, std::vector<char>>> attributes;
};

class Netlink {
public:
    static Result<Netlink> open() {
        FileDescriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        return socket ? Result<Netlink>(Netlink(std::move(socket))) : fail_errno("open", "a netlink socket");
    }

    // Asks, and waits for the kernel's answer: 0 or an errno.
    [[nodiscard]] int ask(Request request) const {
        if (!send(request)) {
            return errno;
        }
        int status = EPROTO;
        receive([&status](const nlmsghdr& message) {
            if (message.nlmsg_type == NLMSG_ERROR) {
                status = -body_of<nlmsgerr>(message)->error;
            }
            return false;
        });
        return status;
    }

    // The permanent, global addresses of a device.
    [[nodiscard]] std::vector<Address> addresses(unsigned index) const {
        std::vector<Address> found;
        Request request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
        if (!send(request)) {
            return found;
        }
        receive([&](const nlmsghdr& message) {
            if (message.nlmsg_type == RTM_NEWADDR) {
                read_address(message, index, found);
            }
            return message.nlmsg_type != NLMSG_DONE && message.nlmsg_type != NLMSG_ERROR;
        });
        return found;
    }

    [[nodiscard]] bool has_link(unsigned index) const {
        ifinfomsg body{};
        body.ifi_index = static_cast<int>(index);
        Request request(RTM_GETLINK, 0, body);
        return is_answered(request);
    }

    [[nodiscard]] bool has_link(const std::string& name) const {
        Request request(RTM_GETLINK, 0, ifinfomsg{});
        request.add(IFLA_IFNAME, name.c_str(), name.size() + 1);
        return is_answered(request);
    }

private:
    explicit Netlink(FileDescriptor socket) : socket_(std::move(socket)) {}

    [[nodiscard]] bool send(Request& request) const {
        const auto bytes = request.finish();
        return ::send(socket_.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    }

    // Whether there is the link that is asked for.
    [[nodiscard]] bool is_answered(Request& request) const {
        bool found = false;
        if (send(request)) {
            receive([&found](const nlmsghdr& message) {
                found = message.nlmsg_type == RTM_NEWLINK;
                return false;
            });
        }
        return found;
    }

    // Calls `use` for each message, until it says false.
    template <class Use>
    void receive(Use use) const {
        alignas(nlmsghdr) std::array<char, 32768> buffer{};
        while (true) {
            const auto size = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (size <= 0) {
                return;
            }
            auto left = static_cast<unsigned>(size);
            for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
                 message = NLMSG_NEXT(message, left)) {
                if (!use(*message)) {
                    return;
                }
            }
        }
    }

    static void read_address(const nlmsghdr& message, unsigned index, std::vector<Address>& found) {
        const auto* body = body_of<ifaddrmsg>(message);
        if (body->ifa_index != index || body->ifa_scope != RT_SCOPE_UNIVERSE ||
            (body->ifa_flags & IFA_F_PERMANENT) == 0) {
            return;
        }
        Address address{.body = *body, .attributes = {}};
        auto left = static_cast<unsigned>(IFA_PAYLOAD(&message));
        for (const rtattr* item = IFA_RTA(body); RTA_OK(item, left); item = RTA_NEXT(item, left)) {
            if (item->rta_type == IFA_LOCAL || item->rta_type == IFA_ADDRESS ||
                item->rta_type == IFA_BROADCAST) {
                const char* data = static_cast<const char*>(RTA_DATA(item));
                address.attributes.emplace_back(item->rta_type,
                                                std::vector<char>(data, data + RTA_PAYLOAD(item)));
            }
        }
        found.push_back(std::move(address));
    }

    FileDescriptor socket_;
};

// A socket that speaks to the kernel about another network namespace.
Result<Netlink> open_in(int name_space) {
    const FileDescriptor own(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!own || ::setns(name_space, CLONE_NEWNET) != 0) {
        return fail_errno("enter", "the container's network namespace");
    }
    auto netlink = Netlink::open();
    if (::setns(own.get(), CLONE_NEWNET) != 0) {
        return fail_errno("return from", "the container's network namespace");
    }
    return netlink;
}

ifinfomsg link(unsigned index, unsigned flags) {
    ifinfomsg body{};
    body.ifi_index = static_cast<int>(index);
    body.ifi_flags = flags;
    body.ifi_change = flags;
    return body;
}

// A device keeps its index unless the container has that already.
unsigned free_index(unsigned wanted, const Netlink& container) {
    while (container.has_link(wanted)) {
        ++wanted;
    }
    return wanted;
}

// By index, since the kernel may choose the name ("eth%d").
Result<void> move_device(const NetDevice& device, int name_space, const Netlink& host,
                         const Netlink& container) {
    const unsigned index = ::if_nametoindex(device.host_name.c_str());
    if (index == 0) {
        return fail_errno("find", "network device " + device.host_name);
    }
    // The kernel would move it, and fail only then at its name.
    if (container.has_link(device.container_name)) {
        return fail("cannot move network device " + device.host_name + " into the container: it has a " +
                    device.container_name + " already");
    }
    const auto addresses = host.addresses(index);
    const unsigned inside = free_index(index, container);
    Request move(RTM_NEWLINK, NLM_F_ACK, link(index, 0));
    move.add(IFLA_NET_NS_FD, &name_space, sizeof name_space);
    move.add(IFLA_IFNAME, device.container_name.c_str(), device.container_name.size() + 1);
    if (inside != index) {
        move.add(IFLA_NEW_IFINDEX, &inside, sizeof inside);
    }
    if (const int code = host.ask(std::move(move)); code != 0) {
        return fail_errno("move", "network device " + device.host_name + " into the container", code);
    }
    if (const int code = container.ask(Request(RTM_NEWLINK, NLM_F_ACK, link(inside, IFF_UP))); code != 0) {
        return fail_errno("set up", "network device " + device.container_name, code);
    }
    for (const Address& address : addresses) {
        ifaddrmsg body = address.body;
        body.ifa_index = inside;
        Request add(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, body);
        for (const auto& [type, data] : address.attributes) {
            add.add(type, data.data(), data.size());
        }
        if (const int code = container.ask(std::move(add)); code != 0 && code != EEXIST) {
            return fail_errno("keep", "the addresses of network device " + device.container_name, code);
        }
    }
    return {};
}

} // namespace

Result<void> move_net_devices(pid_t pid, const std::vector<NetDevice>& devices) {
    if (devices.empty()) {
        return {};
    }
    const FileDescriptor name_space(
        ::open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    if (!name_space) {
        return fail_errno("open", "the container's network namespace");
    }
    const auto host = Netlink::open();
    const auto container = open_in(name_space.get());
    if (!host || !container) {
        return std::unexpected(host ? container.error() : host.error());
    }
    for (const NetDevice& device : devices) {
        if (auto moved = move_device(device, name_space.get(), *host, *container); !moved) {
            return moved;
        }
    }
    return {};
}

Result<void> switch_on_loopback() {
    const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{.ifr_ifrn = {"lo"}, .ifr_ifru = {}};
    request.ifr_flags = IFF_UP;
    return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0
               ? Result<void>{}
               : fail_errno("switch on", "the loopback device");
}

} // namespace strata::container
