// Any frames from a guest into the user-mode network, whose own frames the guest takes or refuses.
//
// The network that it reaches is a namespace of its own, with nobody in it.
#include "backends/net/user.hpp"
#include "base/clock.hpp"
#include "input.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace strata;

// Beginnings of frames that get far: Ethernet, and IPv4, IPv6 or ARP.
constexpr std::array<std::uint8_t, 34> ipv4{0x52, 0x55, 10,   0, 2, 2,  0x52, 0x54, 0, 0x12, 0x34, 0x56,
                                            8,    0,    0x45, 0, 0, 0,  0,    1,    0, 0,    64,   17,
                                            0,    0,    10,   0, 2, 15, 10,   0,    2, 2};

bool leave_the_network() {
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        std::perror("a network namespace");
        std::abort();
    }
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    ::ioctl(socket, SIOCSIFFLAGS, &request);
    ::close(socket);
    return true;
}

// The header's checksum, so that the frame is not refused for it.
void complete_ipv4(std::span<std::uint8_t> frame) {
    constexpr std::size_t header = 14, length_at = 16, checksum_at = 24, end = 34;
    const std::size_t length = frame.size() - header;
    frame[length_at] = static_cast<std::uint8_t>(length >> 8);
    frame[length_at + 1] = static_cast<std::uint8_t>(length);
    frame[checksum_at] = frame[checksum_at + 1] = 0;
    std::uint32_t sum = 0;
    for (std::size_t at = header; at < end; at += 2) {
        sum += frame[at] * 256U + frame[at + 1];
    }
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = ~(sum + (sum >> 16));
    frame[checksum_at] = static_cast<std::uint8_t>(sum >> 8);
    frame[checksum_at + 1] = static_cast<std::uint8_t>(sum);
}

// Bytes as they are, or behind an IPv4 header of the protocol and destination that they choose.
std::vector<std::uint8_t> take_frame(fuzz::Input& input) {
    const auto how = input.take<std::uint8_t>();
    const auto length = input.take<std::uint16_t>() % 2048U;
    std::vector<std::uint8_t> frame;
    if (how >= 64) {
        frame.assign(ipv4.begin(), ipv4.end());
        constexpr std::array<std::uint8_t, 3> protocols{1, 6, 17};
        frame[23] = protocols[how % 3];
        frame[33] = how % 5 == 0 ? 255 : how % 5; // the last byte of whom it is for
    }
    const auto bytes = input.take_bytes(length);
    frame.insert(frame.end(), bytes.begin(), bytes.end());
    if (how >= 64) {
        complete_ipv4(frame);
    }
    return frame;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool alone = leave_the_network();
    static_cast<void>(alone);
    static Clock clock(0);
    static const auto loop = EventLoop::create(clock).value();
    const auto net = backends::create_user_net(*loop, {.forwards = {}, .hostname = "fuzz"}).value();
    fuzz::Input input(data, size);
    bool accept = true;
    net->set_receiver([&](std::span<const std::byte>) { return accept; });
    const auto turn = [] {
        loop->post([] { loop->stop(); });
        loop->run();
    };
    while (!input.empty()) {
        const auto how = input.take<std::uint8_t>();
        if (how < 192) {
            const auto frame = take_frame(input);
            net->send(std::as_bytes(std::span(frame)));
        } else if (how < 224) {
            accept = !accept;
            net->resume();
        } else {
            clock.advance((how - 223) * 100 * nanoseconds_per_millisecond);
        }
        if (how % 4 == 0) {
            turn();
        }
    }
    turn();
    return 0;
}
