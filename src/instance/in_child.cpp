#include "instance/in_child.hpp"

#include "base/atomic_file.hpp"
#include "base/pipe.hpp"

#include <cstdlib>

namespace strata::instance {
namespace {

constexpr char good = '+', bad = '-',
               separator = '\n'; // the answer's first byte; between code, message and hint

[[noreturn]] void act_and_tell(const std::function<Result<std::string>()>& act, int answer) {
    const auto done = act();
    const auto text = done ? good + *done
                           : bad + std::to_string(done.error().code) + separator + done.error().message +
                                 separator + done.error().hint;
    _exit(write_all(answer, text, "pipe") ? 0 : 1);
}

} // namespace

Result<std::string> in_child(const std::function<Result<std::string>()>& act) {
    auto pipe = make_pipe();
    if (!pipe) {
        return fail_errno("make", "a pipe");
    }
    const pid_t child = fork();
    if (child < 0) {
        return fail_errno("start", "a process");
    }
    if (child == 0) {
        act_and_tell(act, pipe->write_end.get());
    }
    pipe->write_end.reset();
    const auto text = read_until_closed(pipe->read_end).value_or("");
    wait_for_end(child);
    if (text.empty()) {
        return fail("a process that was to help has ended too soon");
    }
    if (text.front() == good) {
        return text.substr(1);
    }
    const auto code_end = text.find(separator), end = text.rfind(separator);
    return std::unexpected(Error{.message = text.substr(code_end + 1, end - code_end - 1),
                                 .hint = text.substr(end + 1),
                                 .code = std::atoi(text.c_str() + 1)});
}

} // namespace strata::instance
