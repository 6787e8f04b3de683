#include "instance/monitor.hpp"

#include "base/file_descriptor.hpp"
#include "base/pipe.hpp"
#include "instance/rootless/user_namespace.hpp"
#include "instance/supervisor.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <span>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace strata::instance {
namespace {

// What the launching process is told: that the program runs, or "message\nhint"; nothing by one that was
// killed.
constexpr auto runs = "+";
constexpr char separator = '\n';

// A monitor may wait for months. What it has of the command's heap goes back to the host; so do pages of
// programs and libraries, which nobody can have changed: what is needed of them again is read again.
void give_memory_back() {
    malloc_trim(0);
    dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void*) {
            for (const auto& part : std::span(object->dlpi_phdr, object->dlpi_phnum)) {
                if (part.p_type == PT_LOAD && (part.p_flags & PF_W) == 0) {
                    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
                    const auto begin = (object->dlpi_addr + part.p_vaddr) & ~(page - 1);
                    const auto end = object->dlpi_addr + part.p_vaddr + part.p_memsz;
                    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
                }
            }
            return 0;
        },
        nullptr);
}

[[noreturn]] void become_monitor(const std::string& directory, const std::string& store,
                                 const std::string& id, int ready, int attached) {
    setsid();
    // Nothing of who launched it stays: its terminal, its locks, its database.
    const int null = open("/dev/null", O_RDWR);
    for (int target = 0; target < 3; ++target) {
        dup2(null, target);
    }
    ready = fcntl(ready, F_DUPFD_CLOEXEC, 10);
    attached = attached >= 0 ? fcntl(attached, F_DUPFD_CLOEXEC, 10) : -1;
    dup2(ready, 3);
    if (attached >= 0) {
        dup2(attached, 4);
    }
    syscall(SYS_close_range, attached >= 0 ? 5 : 4, ~0U, 0);
    for (const int fd : {3, 4}) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    stay_in_user_namespace(directory);
    static_cast<void>(chdir("/"));
    umask(0022);
    prctl(PR_SET_NAME, "strata-monitor");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (const int number : {SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGQUIT}) {
        std::signal(number, SIG_IGN);
    }
    Supervisor supervisor(directory, store, id, FileDescriptor(attached >= 0 ? 4 : -1));
    const auto begun = supervisor.begin();
    if (!begun) {
        const auto text = begun.error().message + separator + begun.error().hint;
        static_cast<void>(write(3, text.data(), text.size()) < 0);
        _exit(1);
    }
    static_cast<void>(write(3, runs, 1) < 0);
    close(3);
    give_memory_back();
    supervisor.watch();
    _exit(0);
}

} // namespace

Result<void> launch(const Instances& instances, const Instance& instance, int attached) {
    auto pipe = make_pipe();
    if (!pipe) {
        return fail_errno("start", instance.name);
    }
    const auto store = instances.store().directory();
    const auto child = instances.database().fork();
    if (!child) {
        return std::unexpected(child.error());
    }
    if (*child == 0) {
        if (fork() == 0) { // the monitor is nobody's child
            become_monitor(instances.directory(), store, instance.id, pipe->write_end.get(), attached);
        }
        _exit(0);
    }
    pipe->write_end.reset();
    wait_for_end(*child);
    const auto heard = read_until_closed(pipe->read_end);
    if (!heard) {
        return fail_errno("hear from the monitor of", instance.name);
    }
    const std::string& text = *heard;
    if (text == runs) {
        return {};
    }
    if (text.empty()) {
        return fail(fmt::format("the monitor of {} was killed before its program ran", instance.name),
                    "strata start begins anew");
    }
    const auto end = text.rfind(separator);
    return fail(text.substr(0, end), text.substr(end + 1));
}

} // namespace strata::instance
