#include "instance/network/user_mode.hpp"

#include "base/beside.hpp"
#include "container/process/console.hpp"
#include "instance/in_child.hpp"
#include "instance/network/netlink.hpp"

#include <array>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace strata::instance {
namespace {

constexpr auto device = "eth0";
constexpr Address network = 10U << 24 | 2U << 8, own_address = network + 15, gateway = network + 2;
constexpr unsigned user_mtu =
    65520; // nothing on the way is smaller: a large packet costs what a small one does
constexpr auto user_network_program = "strata-net";

// The device whose other end is a descriptor: Documentation/networking/tuntap.rst of the kernel.
Result<FileDescriptor> make_tap() {
    FileDescriptor tap(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    ifreq request{};
    std::strcpy(request.ifr_name, device);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (!tap || ioctl(tap.get(), TUNSETIFF, &request) != 0) {
        return fail_errno(
            "make a network device with", "/dev/net/tun", errno,
            "load the kernel's module tun and let users open it (mode 0666); or use --network none");
    }
    const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    request.ifr_mtu = user_mtu;
    if (ioctl(socket.get(), SIOCSIFMTU, &request) != 0) {
        return fail_errno("set the packet size of", device);
    }
    return tap;
}

// Makes a network for this process, which leaves its own for a new one or for `joined`, and sends its device
// and its namespace.
Result<std::string> send_network(int socket, const FileDescriptor& joined) {
    if ((joined ? setns(joined.get(), CLONE_NEWNET) : unshare(CLONE_NEWNET)) != 0) {
        return fail_errno("make", "a network namespace");
    }
    const auto tap = make_tap();
    const auto inside = Netlink::open(NETLINK_ROUTE);
    const FileDescriptor space(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!tap || !inside || !space) {
        return !tap      ? std::unexpected(tap.error())
               : !inside ? std::unexpected(inside.error())
                         : fail_errno("open", "a network namespace");
    }
    auto done = inside->switch_on("lo");
    done = done ? inside->add_address(device, own_address, user_prefix) : done;
    done = done ? inside->switch_on(device) : done;
    done = done ? inside->add_default_route(gateway) : done;
    done = done ? container::send_descriptor(socket, tap->get(), "tap") : done;
    done = done ? container::send_descriptor(socket, space.get(), "net") : done;
    return done ? Result<std::string>("") : std::unexpected(done.error());
}

Result<Connection> connect_in(const FileDescriptor& joined) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail_errno("make", "a socket pair");
    }
    const FileDescriptor ours(ends[0]), theirs(ends[1]);
    if (auto made = in_child([&] { return send_network(theirs.get(), joined); }); !made) {
        return std::unexpected(made.error());
    }
    const auto tap = container::receive_descriptor(ours.get());
    auto space = tap ? container::receive_descriptor(ours.get()) : std::unexpected(tap.error());
    if (!space) {
        return std::unexpected(space.error());
    }
    const auto program = path_beside(user_network_program);
    auto stack = HelperProcess::start(user_network_program, {tap->get()}, [&] {
        drop_privileges();
        fcntl(tap->get(), F_SETFD, 0);
        execl(program.c_str(), user_network_program, std::to_string(tap->get()).c_str(),
              std::to_string(user_mtu).c_str(), nullptr);
    });
    if (!stack) {
        return std::unexpected(stack.error());
    }
    return Connection{.namespace_path = fmt::format("/proc/{}/fd/{}", getpid(), space->get()),
                      .address = user_address,
                      .addresses = {user_address},
                      .handle = std::move(*space),
                      .server = std::move(*stack)};
}

} // namespace

Result<Connection> connect_user() { return connect_in({}); }

Result<Connection> reconnect_user(std::int64_t pid) {
    const FileDescriptor space(open(fmt::format("/proc/{}/ns/net", pid).c_str(), O_RDONLY | O_CLOEXEC));
    return space ? connect_in(space) : fail_errno("open", "the container's network namespace");
}

} // namespace strata::instance
