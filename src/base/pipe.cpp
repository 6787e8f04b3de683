#include "base/pipe.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/wait.h>

namespace strata {

std::optional<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        return std::nullopt;
    }
    return Pipe{FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

std::optional<std::string> read_until_closed(const FileDescriptor& read_end) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = read(read_end.get(), buffer.data(), buffer.size())) != 0;) {
        if (got < 0 && errno != EINTR) {
            return std::nullopt;
        }
        text.append(buffer.data(), static_cast<std::size_t>(got > 0 ? got : 0));
    }
    return text;
}

int wait_for_end(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

} // namespace strata
