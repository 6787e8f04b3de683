// User-mode networking as a guest sees it, with frames made by hand.
#include <gtest/gtest.h>

#include "../base/loop_runner.hpp"
#include "backends/net/user.hpp"
#include "base/bytes.hpp"
#include "base/file_descriptor.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace strata::backends {
namespace {

const std::string guest_mac("\x52\x54\x00\x12\x34\x56", 6), broadcast(6, '\xFF');
constexpr std::uint32_t guest_ip = 0x0A00020F, gateway_ip = 0x0A000202;

template <class T>
std::string big_endian(T value) {
    std::string bytes(sizeof value, '\0');
    store_be(bytes.data(), value);
    return bytes;
}

template <class T>
T field(const std::string& bytes, std::size_t offset) {
    return offset + sizeof(T) <= bytes.size() ? load_be<T>(&bytes[offset]) : T{};
}

std::uint16_t checksum(const std::string& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[i]) << 8);
        sum += i + 1 < bytes.size() ? static_cast<std::uint8_t>(bytes[i + 1]) : 0U;
    }
    while (sum >> 16) {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

std::string ethernet(const std::string& destination, std::uint16_t type, const std::string& payload) {
    return destination + guest_mac + big_endian(type) + payload;
}

std::string ipv4(std::uint32_t from, std::uint32_t to, std::uint8_t protocol, const std::string& payload) {
    auto header = std::string("\x45\0", 2) + big_endian(static_cast<std::uint16_t>(20 + payload.size())) +
                  std::string(4, '\0') + '\x40' + static_cast<char>(protocol) + std::string(2, '\0') +
                  big_endian(from) + big_endian(to);
    const auto sum = big_endian(checksum(header));
    header.replace(10, 2, sum);
    return header + payload;
}

std::string udp(std::uint16_t from, std::uint16_t to, const std::string& payload) {
    return big_endian(from) + big_endian(to) + big_endian(static_cast<std::uint16_t>(8 + payload.size())) +
           std::string(2, '\0') + payload; // a checksum of 0: none
}

// RFC 2131: a client's message with the options of RFC 2132.
std::string dhcp(char type, const std::string& more_options = {}) {
    return std::string("\1\1\6\0", 4) + "tran" + std::string(20, '\0') + guest_mac +
           std::string(10 + 192, '\0') + std::string("\x63\x82\x53\x63\x35\x01", 6) + type + more_options +
           '\xFF';
}

class UserNet : public testing::Test {
protected:
    void start(std::vector<PortForward> forwards = {}) {
        auto created = create_user_net(*runner.loop, {.forwards = std::move(forwards), .hostname = {}});
        ASSERT_TRUE(created) << created.error().message;
        net = std::move(*created);
        net->set_receiver([this](std::span<const std::byte> frame) {
            if (!accepts) {
                return false;
            }
            frames.emplace_back(reinterpret_cast<const char*>(frame.data()), frame.size());
            answer_arp(frames.back());
            return true;
        });
    }

    void send(const std::string& frame) { net->send(std::as_bytes(std::span(frame))); }

    // Waits for a frame for which `matches` holds.
    template <class F>
    std::string await(F matches) {
        std::string found;
        runner.run_until([&] {
            for (const auto& frame : frames) {
                if (matches(frame)) {
                    found = frame;
                }
            }
            return !found.empty();
        });
        return found;
    }

    // As a guest's kernel would.
    void answer_arp(const std::string& frame) {
        const bool asks_us = field<std::uint16_t>(frame, 12) == 0x0806 &&
                             field<std::uint16_t>(frame, 20) == 1 &&
                             field<std::uint32_t>(frame, 38) == guest_ip;
        if (asks_us) {
            send(ethernet(frame.substr(6, 6), 0x0806,
                          std::string("\0\1\x08\0\6\4\0\2", 8) + guest_mac + big_endian(guest_ip) +
                              frame.substr(22, 10)));
        }
    }

    std::string ask_dhcp(char type, const std::string& options = {}) {
        frames.clear();
        send(ethernet(broadcast, 0x0800, ipv4(0, 0xFFFFFFFF, 17, udp(68, 67, dhcp(type, options)))));
        return await([](const std::string& frame) { return field<std::uint16_t>(frame, 36) == 68; });
    }

    test::LoopRunner runner;
    std::unique_ptr<NetBackend> net;
    std::vector<std::string> frames;
    bool accepts = true;
};

constexpr std::size_t dhcp_at = 14 + 20 + 8, your_address = dhcp_at + 16, options_at = dhcp_at + 240;

TEST_F(UserNet, GivesAnAddressByDhcp) {
    start();
    const auto offer = ask_dhcp(1);
    ASSERT_FALSE(offer.empty());
    EXPECT_EQ(field<std::uint32_t>(offer, your_address), guest_ip);
    EXPECT_EQ(offer.substr(options_at, 3), std::string("\x35\x01\x02", 3));
    const auto ack = ask_dhcp(3, std::string("\x32\x04", 2) + big_endian(guest_ip));
    EXPECT_EQ(ack.substr(options_at, 3), std::string("\x35\x01\x05", 3));
    EXPECT_NE(ack.find(std::string("\x03\x04", 2) + big_endian(gateway_ip)), std::string::npos) << "router";
    EXPECT_NE(ack.find(std::string("\x06\x04", 2) + big_endian(gateway_ip + 1)), std::string::npos)
        << "name server";
}

TEST_F(UserNet, TheGatewayAnswersArpAndPing) {
    start();
    send(ethernet(broadcast, 0x0806,
                  std::string("\0\1\x08\0\6\4\0\1", 8) + guest_mac + big_endian(guest_ip) +
                      std::string(6, '\0') + big_endian(gateway_ip)));
    const auto arp =
        await([](const std::string& frame) { return field<std::uint16_t>(frame, 12) == 0x0806; });
    ASSERT_FALSE(arp.empty());
    const auto gateway_mac = arp.substr(22, 6);

    auto echo = std::string("\x08\0\0\0\0\1\0\1ping!", 13);
    echo.replace(2, 2, big_endian(checksum(echo)));
    send(ethernet(gateway_mac, 0x0800, ipv4(guest_ip, gateway_ip, 1, echo)));
    const auto reply = await([](const std::string& frame) { return frame.ends_with("ping!"); });
    ASSERT_FALSE(reply.empty());
    EXPECT_EQ(reply[34], '\0') << "echo reply";
}

TEST_F(UserNet, KeepsFramesForAGuestThatIsBusy) {
    start();
    accepts = false;
    send(ethernet(broadcast, 0x0800, ipv4(0, 0xFFFFFFFF, 17, udp(68, 67, dhcp(1)))));
    runner.settle();
    EXPECT_TRUE(frames.empty());
    accepts = true;
    net->resume();
    EXPECT_FALSE(frames.empty());
}

// A port of the host that nobody uses now.
std::uint16_t free_port(int type) {
    FileDescriptor socket(::socket(AF_INET, type, 0));
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t size = sizeof address;
    getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

sockaddr_in loopback(std::uint16_t port) {
    return {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
}

TEST_F(UserNet, ForwardsUdpToTheGuestAndBack) {
    const auto port = free_port(SOCK_DGRAM);
    start({{.host_address = "127.0.0.1", .host_port = port, .guest_port = 7, .udp = true}});
    ASSERT_FALSE(ask_dhcp(3, std::string("\x32\x04", 2) + big_endian(guest_ip)).empty());
    FileDescriptor client(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    const auto address = loopback(port);
    ASSERT_EQ(
        ::sendto(client.get(), "question", 8, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address),
        8);
    const auto asked = await([](const std::string& frame) { return frame.ends_with("question"); });
    ASSERT_FALSE(asked.empty());
    EXPECT_EQ(field<std::uint32_t>(asked, 30), guest_ip);
    EXPECT_EQ(field<std::uint16_t>(asked, 36), 7);

    const auto from_port = field<std::uint16_t>(asked, 34);
    send(ethernet(asked.substr(6, 6), 0x0800,
                  ipv4(guest_ip, field<std::uint32_t>(asked, 26), 17, udp(7, from_port, "answer"))));
    std::string answer(100, '\0');
    EXPECT_TRUE(runner.run_until([&] {
        const auto got = ::recv(client.get(), answer.data(), answer.size(), 0);
        answer.resize(got > 0 ? static_cast<std::size_t>(got) : answer.size());
        return got > 0;
    }));
    EXPECT_EQ(answer, "answer");
}

TEST_F(UserNet, ForwardsTcpConnections) {
    const auto port = free_port(SOCK_STREAM);
    start({{.host_address = {}, .host_port = port, .guest_port = 80, .udp = false}});
    ASSERT_FALSE(ask_dhcp(3, std::string("\x32\x04", 2) + big_endian(guest_ip)).empty());
    FileDescriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    const auto address = loopback(port);
    ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const auto syn = await([](const std::string& frame) {
        return field<std::uint16_t>(frame, 12) == 0x0800 && frame.size() > 47 && frame[23] == 6 &&
               frame[47] == 2;
    });
    ASSERT_FALSE(syn.empty());
    EXPECT_EQ(field<std::uint32_t>(syn, 30), guest_ip);
    EXPECT_EQ(field<std::uint16_t>(syn, 36), 80);
}

TEST_F(UserNet, APortInUseIsAnErrorThatNamesIt) {
    FileDescriptor taken(::socket(AF_INET, SOCK_STREAM, 0));
    auto address = loopback(0);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(taken.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(taken.get(), 1), 0);
    getsockname(taken.get(), reinterpret_cast<sockaddr*>(&address), &size);
    const auto port = ntohs(address.sin_port);
    const auto refused = create_user_net(
        *runner.loop,
        {.forwards = {{.host_address = "127.0.0.1", .host_port = port, .guest_port = 80, .udp = false}},
         .hostname = {}});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(std::to_string(port)), std::string::npos)
        << refused.error().message;
}

TEST_F(UserNet, SurvivesFramesThatMakeNoSense) {
    start();
    send("");
    send("x");
    send(std::string(14, '\0'));
    send(ethernet(broadcast, 0x0800, std::string(3, '\x45')));
    send(ethernet(broadcast, 0x0800, ipv4(1, 2, 6, "short")));
    send(ethernet(broadcast, 0x86DD, std::string(10, '\x60')));
    send(std::string(70000, '\xAA'));
    runner.settle();
    EXPECT_FALSE(ask_dhcp(1).empty());
}

TEST(PortForward, IsParsed) {
    const auto plain = parse_port_forward("8080:80").value();
    EXPECT_EQ(plain.host_port, 8080);
    EXPECT_EQ(plain.guest_port, 80);
    EXPECT_FALSE(plain.udp);
    const auto full = parse_port_forward("127.0.0.1:5353:53/udp").value();
    EXPECT_EQ(full.host_address, "127.0.0.1");
    EXPECT_TRUE(full.udp);
    EXPECT_EQ(to_string(full), "127.0.0.1:5353:53/udp");
    for (const auto* wrong : {"", ":", "80", "80:", ":80", "0:80", "80:65536", "80:80/sctp", "a:b",
                              "host:80:80", "1.2.3:80:80", "80:80:80:80", "8080:80/", "-1:80", "80 :80"}) {
        EXPECT_FALSE(parse_port_forward(wrong)) << wrong;
    }
}

} // namespace
} // namespace strata::backends
