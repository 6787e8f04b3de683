// The name servers that are asked for the names of others.
#pragma once

#include "base/file_descriptor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace strata::names {

// Those of the host, as resolv.conf(5) has them now, at most three.
[[nodiscard]] std::vector<std::string> servers_of_host();

// A socket of the type that is connected to a server's port 53, or about to be; nothing if it cannot be.
[[nodiscard]] FileDescriptor connect_to_server(const std::string& address, int type);

// One query, asked over a stream, each step within the sockets' time: the answer, or nothing.
[[nodiscard]] std::vector<std::uint8_t> ask_by_stream(const std::string& address,
                                                      const std::vector<std::uint8_t>& query);

// A message on a stream has its length before it (RFC 1035, section 4.2.2). Nothing when the other side is
// gone, slow, or has more than `longest`.
[[nodiscard]] std::vector<std::uint8_t> read_message(int stream, std::size_t longest);
[[nodiscard]] bool write_message(int stream, const std::vector<std::uint8_t>& message);

// What a number must be that others are not to guess.
[[nodiscard]] std::uint16_t random_id();

// How long each step on a stream may take.
void set_patience(int stream);

} // namespace strata::names
