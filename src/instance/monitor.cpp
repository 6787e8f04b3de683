#include "instance/monitor.hpp"

#include "base/atomic_file.hpp"
#include "base/beside.hpp"
#include "base/file_descriptor.hpp"
#include "base/pipe.hpp"
#include "instance/layer_copy.hpp"
#include "instance/owner_lock.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace strata::instance {
namespace {

// Nothing of who launches it stays: its terminal, its locks, its database.
[[noreturn]] void become_monitor(const Instances& instances, const Instance& instance, int answer,
                                 int attached, const char* word) {
    setsid();
    constexpr int out_of_the_way = 10;
    answer = fcntl(answer, F_DUPFD, out_of_the_way);
    attached = attached >= 0 ? fcntl(attached, F_DUPFD, out_of_the_way) : -1;
    dup2(answer, monitor::answer_descriptor);
    if (attached >= 0) {
        dup2(attached, monitor::attached_descriptor);
    }
    const unsigned last = attached >= 0 ? monitor::attached_descriptor : monitor::answer_descriptor;
    syscall(SYS_close_range, last + 1, ~0U, 0);
    const auto path = path_beside(monitor::program);
    execl(path.c_str(), monitor::program, instances.directory().c_str(), instances.store_directory().c_str(),
          instance.id.c_str(), word, nullptr);
    const auto text = fmt::format("cannot run {}: {}\nit belongs beside strata", path, std::strerror(errno));
    static_cast<void>(write_all(monitor::answer_descriptor, text, "pipe"));
    _exit(1);
}

// What the monitor answers.
Result<std::string> start_monitor(const Instances& instances, const Instance& instance, int attached,
                                  const char* word = nullptr) {
    auto pipe = make_pipe();
    if (!pipe) {
        return fail_errno("start", instance.name);
    }
    const pid_t child = fork();
    if (child < 0) {
        return fail_errno("start", instance.name);
    }
    if (child == 0) {
        if (fork() == 0) { // the monitor is nobody's child
            become_monitor(instances, instance, pipe->write_end.get(), attached, word);
        }
        _exit(0);
    }
    pipe->write_end.reset();
    wait_for_end(child);
    auto heard = read_until_closed(pipe->read_end);
    return heard ? Result<std::string>(std::move(*heard))
                 : fail_errno("hear from the monitor of", instance.name);
}

} // namespace

Result<void> launch(const Instances& instances, const Instance& instance, int attached) {
    auto answer = start_monitor(instances, instance, attached);
    if (answer && *answer == monitor::copy_first) {
        if (auto copied = copy_layers(instances, instance); !copied) {
            return copied;
        }
        answer = start_monitor(instances, instance, attached);
    }
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (*answer == monitor::runs) {
        return {};
    }
    if (answer->empty()) {
        return fail(fmt::format("the monitor of {} was killed before its program ran", instance.name),
                    "strata start begins anew");
    }
    const auto end = answer->rfind(monitor::separator);
    return fail(answer->substr(0, end), answer->substr(end + 1));
}

bool attend(const Instances& instances, const Instance& instance) {
    if (!instance.alive()) {
        return false;
    }
    const FileDescriptor lock(open(instances.path(instance, "lock").c_str(), O_RDWR | O_CLOEXEC));
    if (!lock || is_owned(lock)) {
        return false;
    }
    static_cast<void>(start_monitor(instances, instance, -1, monitor::adopt_word));
    return true;
}

} // namespace strata::instance
