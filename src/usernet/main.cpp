// strata-net: the network of containers without root. A TCP/IP stack (libslirp) at the other end of a
// container's network device, which reaches what this process reaches, but for the host's own loopback
// network.
//
//   strata-net TAP MTU
//
// TAP is the number of the open device (Documentation/networking/tuntap.rst of the kernel).
#include "backends/net/user.hpp"
#include "base/event_loop.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <sys/epoll.h>
#include <unistd.h>

namespace strata {
namespace {

constexpr std::size_t longest_frame = 65536;
constexpr int most_frames = 64; // at one time, so that the stack's sockets have their turn

// What the device has, into the stack.
void carry_frames(int tap, backends::NetBackend& stack) {
    std::array<std::byte, longest_frame> frame{};
    for (int i = 0; i < most_frames; ++i) {
        const auto size = read(tap, frame.data(), frame.size());
        if (size <= 0) {
            break;
        }
        stack.send({frame.data(), static_cast<std::size_t>(size)});
    }
}

int serve(int tap, unsigned mtu) {
    const Clock clock;
    const auto loop = EventLoop::create(clock);
    auto stack = loop ? backends::create_user_net(**loop, {.mtu = mtu, .host_loopback = false})
                      : std::unexpected(loop.error());
    if (!stack) {
        return 1;
    }
    (*stack)->set_receiver([tap](std::span<const std::byte> frame) {
        // What the device does not take now is lost, as on a wire.
        static_cast<void>(write(tap, frame.data(), frame.size()) < 0);
        return true;
    });
    (*loop)->watch(tap, EPOLLIN, [tap, &stack](std::uint32_t) { carry_frames(tap, **stack); });
    (*loop)->run();
    return 0;
}

} // namespace
} // namespace strata

int main(int count, char** arguments) {
    constexpr int parameters = 3;
    if (count != parameters) {
        std::fputs("strata-net is what strata starts for containers with --network user\n", stderr);
        return 2;
    }
    return strata::serve(std::atoi(arguments[1]), static_cast<unsigned>(std::atoi(arguments[2])));
}
