// Between a container's monitor and those who are attached to it: packets on a SOCK_SEQPACKET socket, a kind
// and what belongs to it.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <optional>
#include <string_view>
#include <sys/types.h>

namespace strata::instance {

inline constexpr auto attach_socket = "attach"; // in the instance's directory

enum class Packet : char {
    output = 'o', // from the monitor: bytes of standard output, or of the terminal
    error = 'e',  // bytes of standard error
    exit = 'x',   // the exit code, one byte: the last packet
    input = 'i',  // to the monitor: bytes for standard input
    end = 'z',    // no more input
    resize = 'r', // rows and columns, two bytes each, the lower first
    signal = 's', // a signal for the container, one byte
};

inline constexpr std::size_t longest_packet = 16U << 10; // with its kind

// Blocks; false when the other side is gone.
[[nodiscard]] bool send_packet(int socket, Packet kind, std::string_view data = {});

// Waits for the end of the container; nothing if the other side goes before.
[[nodiscard]] std::optional<int> hear_exit_code(int socket);

// Carries this process's standard streams to and from a container until it ends, or the other side is gone:
// then its exit code, or -1. With `terminal` this process's terminal is put into raw mode; "Ctrl-P Ctrl-Q"
// leaves the container running, and gives -2. SIGINT and its like go to the container with `forward`.
struct AttachOptions {
    bool terminal = false, input = false, forward = true;
};

[[nodiscard]] int carry_streams(int socket, const AttachOptions& options);

} // namespace strata::instance
