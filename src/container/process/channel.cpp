#include "container/process/channel.hpp"

#include <array>
#include <cstring>
#include <sys/socket.h>

namespace strata::container {
namespace {

struct Header {
    Word word;
    std::int32_t code;
    std::uint32_t text_size; // what follows it is the hint
};

constexpr std::size_t longest = 8192;

Result<void> send_packet(int socket, Word word, const Error& content) {
    const Header header{
        .word = word, .code = content.code, .text_size = static_cast<std::uint32_t>(content.message.size())};
    std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
    packet.append(content.message).append(content.hint);
    packet.resize(std::min(packet.size(), longest));
    // write(2), for it is the one call that a filter which is loaded already must let through.
    if (::write(socket, packet.data(), packet.size()) != static_cast<ssize_t>(packet.size())) {
        return fail_errno("send", "a message within the runtime");
    }
    return {};
}

} // namespace

Result<std::pair<Channel, Channel>> Channel::make() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("make", "a pair of sockets");
    }
    return std::pair(Channel(FileDescriptor(ends[0])), Channel(FileDescriptor(ends[1])));
}

Result<void> Channel::send(Word word, const std::string& text) const {
    return send_packet(socket_.get(), word, Error{text});
}

Result<void> Channel::send_failure(const Error& error) const {
    return send_packet(socket_.get(), Word::failed, error);
}

Result<Channel::Message> Channel::receive() const {
    std::array<char, longest> packet{};
    ssize_t size = 0;
    do {
        size = ::read(socket_.get(), packet.data(), packet.size());
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        return fail_errno("receive", "a message within the runtime");
    }
    Header header{};
    if (static_cast<std::size_t>(size) < sizeof header) {
        return fail("the container's process ended while it was set up");
    }
    std::memcpy(&header, packet.data(), sizeof header);
    const std::string content(packet.data() + sizeof header, static_cast<std::size_t>(size) - sizeof header);
    const auto split = std::min<std::size_t>(header.text_size, content.size());
    if (header.word == Word::failed) {
        return std::unexpected(Error{content.substr(0, split), content.substr(split), header.code});
    }
    return Message{header.word, content.substr(0, split)};
}

Result<std::string> Channel::expect(Word expected) const {
    auto message = receive();
    if (!message) {
        return std::unexpected(message.error());
    }
    if (message->word != expected) {
        return fail("the container's process and its creator are out of step");
    }
    return std::move(message->text);
}

} // namespace strata::container
