// The terminal of a program in a container: the runtime makes it, and hands its other end over a socket (OCI
// runtime-tools, "Console socket").
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>

namespace strata::instance {

// A socket in `directory`, which is open; its name leads there through this process, since names of sockets
// are short.
class ConsoleSocket {
public:
    [[nodiscard]] static Result<ConsoleSocket> open(const std::string& directory);
    ~ConsoleSocket();
    ConsoleSocket(ConsoleSocket&&) noexcept = default;
    ConsoleSocket& operator=(ConsoleSocket&&) = delete;
    ConsoleSocket(const ConsoleSocket&) = delete;
    ConsoleSocket& operator=(const ConsoleSocket&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

    // The terminal; the runtime has sent it when it has made the container.
    [[nodiscard]] Result<FileDescriptor> receive() const;

private:
    ConsoleSocket(FileDescriptor directory, FileDescriptor socket, std::string path)
        : directory_(std::move(directory)), socket_(std::move(socket)), path_(std::move(path)) {}

    FileDescriptor directory_, socket_;
    std::string path_;
};

// Listens on, and connects to, the socket `name` of a directory, however long the directory's name is.
[[nodiscard]] Result<FileDescriptor> listen_at(int directory, const std::string& name, int type);
[[nodiscard]] Result<FileDescriptor> connect_to(const std::string& directory, const std::string& name,
                                                int type);

} // namespace strata::instance
