// Words between the creator of a container and the process that becomes it, over a pair of sockets that keeps
// messages apart.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace strata::container {

enum class Word : std::uint32_t {
    ids_mapped, // creator: the ID maps are written
    in_cgroup,  // creator: the process is in its cgroup; its pid, a blank, and the cgroup if systemd made it
    namespaces_ready, // process: its namespaces are there; hooks may run
    hooks_done,       // creator
    listener,         // process: the number of the seccomp listener, as text
    listener_sent,    // creator
    joined,           // process: the pid of the one that runs on, as text
    ready,            // process: all is set up
    start,            // creator: run the program (when it waits here and not at the FIFO)
    failed,           // either: what went wrong
};

class Channel {
public:
    // One end for each.
    static Result<std::pair<Channel, Channel>> make();

    Channel() = default;

    explicit Channel(FileDescriptor socket) : socket_(std::move(socket)) {}

    [[nodiscard]] Result<void> send(Word word, const std::string& text = {}) const;
    [[nodiscard]] Result<void> send_failure(const Error& error) const;

    // Waits for `expected`; a failure that was sent instead is the error, as is the end of the other side.
    [[nodiscard]] Result<std::string> expect(Word expected) const;

    struct Message {
        Word word;
        std::string text;
    };

    [[nodiscard]] Result<Message> receive() const;

    void close() { socket_.reset(); }

    [[nodiscard]] int fd() const { return socket_.get(); }

private:
    FileDescriptor socket_;
};

} // namespace strata::container
