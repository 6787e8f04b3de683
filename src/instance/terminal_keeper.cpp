#include "instance/terminal_keeper.hpp"

#include "container/process/console.hpp"
#include "instance/console.hpp"
#include "instance/network/helper_process.hpp"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace strata::instance {
namespace {

constexpr auto socket_name = "terminal", process_name = "strata-terminal";

// Until the terminal's last other end is closed.
[[noreturn]] void keep(int listener, int master) {
    while (true) {
        pollfd files[] = {{listener, POLLIN, 0}, {master, 0, 0}};
        if (poll(files, std::size(files), -1) < 0 && errno != EINTR) {
            break;
        }
        if (files[1].revents != 0) {
            break;
        }
        if (files[0].revents != 0) {
            const FileDescriptor peer(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
            static_cast<void>(container::send_descriptor(peer.get(), master, "terminal"));
        }
    }
    _exit(0);
}

} // namespace

Result<void> keep_terminal(const std::string& directory, const FileDescriptor& master) {
    const FileDescriptor place(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const auto listener = listen_at(place.get(), socket_name, SOCK_STREAM);
    if (!listener) {
        return std::unexpected(listener.error());
    }
    const pid_t child = fork();
    if (child < 0) {
        return fail_errno("start", process_name);
    }
    if (child == 0) {
        prctl(PR_SET_NAME, process_name);
        close_all_but({listener->get(), master.get()}); // the monitor's lock would be held on
        keep(listener->get(), master.get());
    }
    return {};
}

FileDescriptor kept_terminal(const std::string& directory) {
    const auto keeper = connect_to(directory, socket_name, SOCK_STREAM);
    auto terminal = keeper ? container::receive_descriptor(keeper->get()) : std::unexpected(keeper.error());
    return terminal ? std::move(*terminal) : FileDescriptor();
}

} // namespace strata::instance
