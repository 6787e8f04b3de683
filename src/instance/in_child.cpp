#include "instance/in_child.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"

#include <array>
#include <fcntl.h>
#include <sys/wait.h>

namespace strata::instance {
namespace {

constexpr char good = '+', bad = '-', separator = '\n'; // the answer's first byte; between message and hint

[[noreturn]] void act_and_tell(const std::function<Result<std::string>()>& act, int answer) {
    const auto done = act();
    const auto text = done ? good + *done : bad + done.error().message + separator + done.error().hint;
    _exit(write_all(answer, text, "pipe") ? 0 : 1);
}

} // namespace

Result<std::string> in_child(const std::function<Result<std::string>()>& act) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail_errno("make", "a pipe");
    }
    const FileDescriptor read_end(ends[0]);
    FileDescriptor write_end(ends[1]);
    const pid_t child = fork();
    if (child < 0) {
        return fail_errno("start", "a process");
    }
    if (child == 0) {
        act_and_tell(act, write_end.get());
    }
    write_end.reset();
    std::string text;
    std::array<char, 1024> buffer{};
    for (ssize_t got = 0; (got = read(read_end.get(), buffer.data(), buffer.size())) != 0;) {
        if (got < 0 && errno != EINTR) {
            break;
        }
        text.append(buffer.data(), static_cast<std::size_t>(got > 0 ? got : 0));
    }
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (text.empty()) {
        return fail("a process that was to help has ended too soon");
    }
    if (text.front() == good) {
        return text.substr(1);
    }
    const auto end = text.rfind(separator);
    return fail(text.substr(1, end - 1), text.substr(end + 1));
}

} // namespace strata::instance
