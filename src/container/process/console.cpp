#include "container/process/console.hpp"

#include "container/mounts/mount.hpp"

#include <cstring>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <termios.h>

namespace strata::container {

Result<Terminal> open_terminal(const RootDirectory& root, const std::optional<ConsoleSize>& size) {
    auto master = root.open_at("/dev/pts/ptmx", O_RDWR | O_NOCTTY, RESOLVE_NO_SYMLINKS);
    if (!master) {
        return fail("cannot open a terminal: " + master.error().message,
                    "process.terminal needs a devpts at /dev/pts");
    }
    struct statfs info{};
    if (::fstatfs(master->get(), &info) != 0 || info.f_type != DEVPTS_SUPER_MAGIC) {
        return fail("cannot open a terminal: /dev/pts in the container is not a devpts");
    }
    const int unlock = 0;
    if (::ioctl(master->get(), TIOCSPTLCK, &unlock) != 0) {
        return fail_errno("unlock", "the container's terminal");
    }
    // By its master, for no path to it can be trusted.
    FileDescriptor slave(::ioctl(master->get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!slave) {
        return fail_errno("open", "the container's terminal");
    }
    if (size) {
        const winsize window{.ws_row = size->height, .ws_col = size->width, .ws_xpixel = 0, .ws_ypixel = 0};
        ::ioctl(master->get(), TIOCSWINSZ, &window);
    }
    return Terminal{std::move(*master), std::move(slave)};
}

Result<void> bind_console(const RootDirectory& root, int slave) {
    const auto place = root.make_file("/dev/console", 0600);
    if (!place) {
        return std::unexpected(place.error());
    }
    const auto copy = copy_mount(slave, "", false);
    if (!copy) {
        return std::unexpected(copy.error());
    }
    return attach_mount(copy->get(), place->get(), "/dev/console");
}

Result<void> use_terminal(int slave) {
    ::setsid();
    if (::ioctl(slave, TIOCSCTTY, 0) != 0) {
        return fail_errno("take", "the container's terminal as controlling terminal");
    }
    for (int fd = 0; fd <= 2; ++fd) {
        if (::dup2(slave, fd) < 0) {
            return fail_errno("use", "the container's terminal");
        }
    }
    return {};
}

Result<FileDescriptor> connect_socket(const std::string& path, const std::string& what) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return fail(what + " " + path + ": the path is too long for a socket (" +
                    std::to_string(sizeof address.sun_path - 1) + " characters)");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail_errno("connect to", what + " " + path);
    }
    return socket;
}

namespace {

struct DescriptorMessage {
    explicit DescriptorMessage(char* text, std::size_t size) : part{.iov_base = text, .iov_len = size} {
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
    }

    iovec part;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};
};

} // namespace

Result<void> send_descriptor(int socket, int fd, const std::string& text) {
    std::string copy = text;
    DescriptorMessage message(copy.data(), copy.size());
    cmsghdr* control = CMSG_FIRSTHDR(&message.header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
    if (::sendmsg(socket, &message.header, MSG_NOSIGNAL) < 0) {
        return fail_errno("send", "a descriptor");
    }
    return {};
}

Result<FileDescriptor> receive_descriptor(int socket) {
    char text[4096];
    DescriptorMessage message(text, sizeof text);
    ssize_t size = 0;
    do {
        size = ::recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    const cmsghdr* control = size > 0 ? CMSG_FIRSTHDR(&message.header) : nullptr;
    if (control == nullptr || control->cmsg_type != SCM_RIGHTS ||
        control->cmsg_len != CMSG_LEN(sizeof(int))) {
        return fail("no descriptor came over the socket");
    }
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
    return FileDescriptor(fd);
}

} // namespace strata::container
