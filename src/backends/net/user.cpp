#include "backends/net/user.hpp"

#include "backends/net/slirp.hpp"
#include "backends/net/slirp_sockets.hpp"
#include "base/lifetime.hpp"
#include "base/open_file.hpp"

#include <arpa/inet.h>
#include <deque>
#include <netinet/in.h>

namespace strata::backends {

namespace {

// Frames kept while the other side is busy; more are dropped, as in a switch.
constexpr std::size_t max_waiting = 1024;

in_addr ipv4(const char* text) {
    in_addr address{};
    inet_pton(AF_INET, text, &address);
    return address;
}

in6_addr ipv6(const char* text) {
    in6_addr address{};
    inet_pton(AF_INET6, text, &address);
    return address;
}

SlirpConfig network(const UserNetOptions& options) {
    SlirpConfig config{};
    config.version = SLIRP_CONFIG_VERSION_MAX;
    config.in_enabled = true;
    config.vnetwork = ipv4("10.0.2.0");
    config.vnetmask = ipv4("255.255.255.0");
    config.vhost = ipv4("10.0.2.2");
    config.vnameserver = ipv4("10.0.2.3");
    config.vdhcp_start = ipv4("10.0.2.15");
    config.in6_enabled = true;
    config.vprefix_addr6 = ipv6("fec0::");
    config.vprefix_len = 64;
    config.vhost6 = ipv6("fec0::2");
    config.vnameserver6 = ipv6("fec0::3");
    config.if_mtu = config.if_mru = options.mtu;
    config.disable_host_loopback = !options.host_loopback;
    config.vhostname = options.hostname.empty() ? nullptr : options.hostname.c_str();
    return config;
}

using Frame = std::vector<std::byte>;

// The stack runs on the event loop's thread only: frames from the guest, which come on any vCPU's, wait for
// it.
class UserNet final : public NetBackend {
public:
    UserNet(EventLoop& loop, const SlirpLibrary& library)
        : loop_(loop), library_(library), sockets_(loop, library) {}

    ~UserNet() override {
        if (slirp_ != nullptr) {
            library_.cleanup(slirp_);
        }
    }

    Result<void> start(const UserNetOptions& options) {
        const auto config = network(options);
        slirp_ = library_.create(&config, &callbacks, this);
        if (slirp_ == nullptr) {
            return fail("cannot start the user-mode network");
        }
        sockets_.attach(slirp_);
        for (const PortForward& forward : options.forwards) {
            if (auto added = add(forward); !added) {
                return added;
            }
        }
        loop_.post(lifetime_.guard([this] { sockets_.update(); }));
        return {};
    }

    void send(std::span<const std::byte> frame) override {
        if (from_guest_.size() >= max_waiting) {
            return;
        }
        from_guest_.emplace_back(frame.begin(), frame.end());
        if (from_guest_.size() == 1) {
            loop_.post(lifetime_.guard([this] { take_from_guest(); }));
        }
    }

    void resume() override {
        while (!to_guest_.empty() && deliver(to_guest_.front())) {
            to_guest_.pop_front();
        }
    }

private:
    static UserNet& self(void* opaque) { return *static_cast<UserNet*>(opaque); }

    static const SlirpCb callbacks;

    Result<void> add(const PortForward& forward);

    void take_from_guest() {
        for (const Frame& frame : std::exchange(from_guest_, {})) {
            library_.input(slirp_, reinterpret_cast<const std::uint8_t*>(frame.data()),
                           static_cast<int>(frame.size()));
        }
        sockets_.update();
    }

    void give_to_guest(std::span<const std::byte> frame) {
        resume();
        if ((!to_guest_.empty() || !deliver(frame)) && to_guest_.size() < max_waiting) {
            to_guest_.emplace_back(frame.begin(), frame.end());
        }
    }

    EventLoop& loop_;
    const SlirpLibrary& library_;
    SlirpSockets sockets_;
    Slirp* slirp_ = nullptr;
    std::deque<Frame> from_guest_, to_guest_;
    Lifetime lifetime_;
};

const SlirpCb UserNet::callbacks{
    .send_packet =
        [](const void* frame, std::size_t size, void* opaque) {
            self(opaque).give_to_guest({static_cast<const std::byte*>(frame), size});
            return static_cast<ssize_t>(size);
        },
    .guest_error = [](const char*, void*) {}, // a guest may send what it likes
    .clock_get_ns = [](void* opaque) { return std::int64_t{self(opaque).loop_.clock().now()}; },
    .timer_new = [](SlirpTimerCb callback, void* argument, void* opaque) -> void* {
        return new EventLoop::Timer(self(opaque).loop_, [callback, argument, opaque] {
            callback(argument);
            self(opaque).sockets_.update();
        });
    },
    .timer_free = [](void* timer, void*) { delete static_cast<EventLoop::Timer*>(timer); },
    .timer_mod =
        [](void* timer, std::int64_t milliseconds, void*) {
            static_cast<EventLoop::Timer*>(timer)->arm(milliseconds * nanoseconds_per_millisecond);
        },
    .register_poll_fd = [](int, void*) {},
    .unregister_poll_fd = [](int fd, void* opaque) { self(opaque).sockets_.forget(fd); },
    .notify = [](void*) {}, // sockets are looked at again after every call into the stack
    .init_completed = nullptr,
    .timer_new_opaque = nullptr,
};

Result<void> UserNet::add(const PortForward& forward) {
    const in_addr guest{}; // stands for the address that DHCP gives first
    in_addr host{};
    inet_pton(AF_INET, forward.host_address.c_str(), &host); // an empty one leaves it: any
    if (library_.add_hostfwd(slirp_, forward.udp, host, forward.host_port, guest, forward.guest_port) != 0) {
        return fail_errno("forward port", to_string(forward), errno,
                          errno == EACCES ? privileged_port_hint : hint_for(errno));
    }
    return {};
}

} // namespace

Result<std::unique_ptr<NetBackend>> create_user_net(EventLoop& loop, const UserNetOptions& options) {
    const auto& library = SlirpLibrary::load();
    if (!library) {
        return std::unexpected(library.error());
    }
    auto net = std::make_unique<UserNet>(loop, *library);
    if (auto started = net->start(options); !started) {
        return std::unexpected(started.error());
    }
    return net;
}

} // namespace strata::backends
