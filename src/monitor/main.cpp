// strata-monitor: see instance/monitor.hpp.
#include "instance/monitor.hpp"

#include "base/atomic_file.hpp"
#include "instance/root_filesystem.hpp"
#include "instance/rootless/user_namespace.hpp"
#include "instance/supervisor.hpp"

#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <memory>
#include <span>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::instance {
namespace {

// A monitor may wait for months. What it has of heap that it no longer uses goes back to the host; so do
// pages of programs and libraries, which nobody can have changed: what is needed of them again is read again.
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

void leave_the_launcher() {
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int target = 0; target < 3; ++target) {
        dup2(null, target);
    }
    if (null > 2) {
        close(null);
    }
    static_cast<void>(chdir("/"));
    umask(0022);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (const int number : {SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGQUIT}) {
        std::signal(number, SIG_IGN);
    }
}

void answer(const std::string& text) {
    static_cast<void>(write_all(monitor::answer_descriptor, text, "pipe")); // nobody may hear any more
    close(monitor::answer_descriptor);
}

int run(const std::string& directory, const std::string& store, const std::string& id, bool adopts) {
    for (const int file : {monitor::answer_descriptor, monitor::attached_descriptor}) {
        fcntl(file, F_SETFD, FD_CLOEXEC);
    }
    const bool is_attached = fcntl(monitor::attached_descriptor, F_GETFD) >= 0;
    leave_the_launcher();
    stay_in_user_namespace(directory);
    auto supervisor = std::make_unique<Supervisor>(
        directory, store, id, FileDescriptor(is_attached ? monitor::attached_descriptor : -1));
    if (const auto begun = adopts ? supervisor->adopt() : supervisor->begin(); !begun) {
        supervisor.reset(); // who is answered may begin anew at once: the container is nobody's by then
        const auto& [message, hint, code] = begun.error();
        answer(code == needs_copy ? monitor::copy_first : message + monitor::separator + hint);
        return 1;
    }
    answer(monitor::runs);
    give_memory_back();
    supervisor->watch();
    return 0;
}

} // namespace
} // namespace strata::instance

namespace monitor = strata::instance::monitor;

int main(int count, char** arguments) {
    constexpr int parameters = 4;
    const bool adopts =
        count == parameters + 1 && std::string_view(arguments[parameters]) == monitor::adopt_word;
    if (count != parameters && !adopts) {
        std::fputs("strata-monitor is what strata starts beside each container\n", stderr);
        return 2;
    }
    return strata::instance::run(arguments[1], arguments[2], arguments[3], adopts);
}
