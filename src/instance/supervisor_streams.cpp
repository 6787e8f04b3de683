// What goes between a container's streams, its log and those who are attached to it (attachment.hpp).
#include "instance/supervisor.hpp"

#include "instance/attachment.hpp"
#include "instance/process_table.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <vector>

namespace strata::instance {
namespace {

constexpr std::size_t most_queued = 1U << 20; // bytes for one who reads slowly; then the container waits
constexpr std::size_t most_pending_input = 64U << 10;
constexpr int farewell = 10'000; // milliseconds for the last packets

int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

} // namespace

// What the monitor waits for, in the order in which serve() looks at it.
std::vector<pollfd> Supervisor::awaited() const {
    const bool full = congested();
    const auto& sink = instance_.settings.terminal ? output_ : input_;
    std::vector<pollfd> files{{signals_.get(), POLLIN, 0},
                              {listener_.get(), POLLIN, 0},
                              {full ? -1 : output_.get(), POLLIN, 0},
                              {full ? -1 : error_.get(), POLLIN, 0},
                              {pending_input_.empty() ? -1 : sink.get(), POLLOUT, 0},
                              {health_ ? health_->output() : -1, POLLIN, 0},
                              {is_adopted_ && !exit_code_ ? process_.get() : -1, POLLIN, 0}};
    const auto reads = pending_input_.size() < most_pending_input ? POLLIN : 0;
    for (const auto& client : clients_) {
        files.push_back(
            {client.socket.get(), static_cast<short>(reads | (client.queue.empty() ? 0 : POLLOUT)), 0});
    }
    return files;
}

void Supervisor::serve(const std::vector<pollfd>& files) {
    if (files[0].revents != 0) {
        reap();
    }
    if (files[1].revents != 0) {
        accept_client();
    }
    if (files[2].revents != 0) {
        read_output(output_, "stdout");
    }
    if (files[3].revents != 0) {
        read_output(error_, "stderr");
    }
    if (files[4].revents != 0) {
        write_input();
    }
    if (health_ && files[5].revents != 0) {
        health_->read_output();
    }
    if (files[6].revents != 0) {
        take_adopted_end();
    }
    auto file = files.begin() + 7;
    for (auto& client : clients_) {
        if (file == files.end() || file->fd != client.socket.get()) {
            break; // a new one
        }
        if ((file->revents & POLLOUT) != 0) {
            write_client(client);
        }
        if ((file->revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            read_client(client);
        }
        ++file;
    }
}

void Supervisor::watch_once() {
    close_state();
    reap(); // what ended before SIGCHLD was looked for
    while (!exit_code_ || output_ || error_) {
        std::erase_if(clients_, [](const Client& client) { return client.gone; });
        auto files = awaited();
        // After the end there is only what is in the pipes.
        const int patience = health_ ? health_->patience() : -1;
        const int ready = poll(files.data(), files.size(), exit_code_ && !congested() ? 0 : patience);
        if (ready == 0 && exit_code_) {
            break;
        }
        serve(files);
        if (health_ && !exit_code_) {
            health_->work();
        }
    }
    log().flush();
    output_.reset();
    error_.reset();
    input_.reset();
    pending_input_.clear();
    end_of_input_ = false;
}

void Supervisor::reap() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) > 0) {
    }
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == instance_.pid && !is_adopted_) {
            exit_code_ = code_of(status);
        } else if (health_) {
            health_->take_end(pid, code_of(status));
        }
    }
}

void Supervisor::take_adopted_end() {
    const auto status = end_status(instance_.pid, process_.get());
    exit_code_ = status ? code_of(*status) : killed_unseen;
}

void Supervisor::accept_client() {
    FileDescriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket) {
        clients_.push_back({.socket = std::move(socket)});
    }
}

void Supervisor::read_output(FileDescriptor& file, std::string_view stream) {
    std::array<char, longest_packet - 1> buffer{};
    const auto size = read(file.get(), buffer.data(), buffer.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) { // a terminal that nobody has open any more gives EIO
        file.reset();
        return;
    }
    const std::string_view data(buffer.data(), static_cast<std::size_t>(size));
    log().write(stream, data);
    tell(static_cast<char>(stream == "stdout" ? Packet::output : Packet::error), data);
}

void Supervisor::tell(char kind, std::string_view data) {
    for (auto& client : clients_) {
        client.queue.push_back(kind + std::string(data));
        client.queued += data.size() + 1;
        write_client(client);
    }
}

void Supervisor::write_client(Client& client) {
    while (!client.queue.empty()) {
        const auto& packet = client.queue.front();
        if (send(client.socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
            client.gone = errno != EAGAIN && errno != EINTR;
            if (client.gone) {
                client.queue.clear();
                client.queued = 0;
            }
            return;
        }
        client.queued -= packet.size();
        client.queue.pop_front();
    }
}

void Supervisor::read_client(Client& client) {
    std::array<char, longest_packet> buffer{};
    const auto size = recv(client.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size <= 0) {
        client.gone = size == 0 || (errno != EAGAIN && errno != EINTR);
        return;
    }
    const std::string_view data(buffer.data() + 1, static_cast<std::size_t>(size) - 1);
    switch (static_cast<Packet>(buffer[0])) {
    case Packet::input:
        pending_input_ += data;
        write_input();
        break;
    case Packet::end:
        end_of_input_ = true;
        write_input();
        break;
    case Packet::resize:
        if (data.size() == 4 && instance_.settings.terminal) {
            const auto word = [&](std::size_t i) {
                return static_cast<unsigned short>(static_cast<unsigned char>(data[i]) |
                                                   static_cast<unsigned char>(data[i + 1]) << 8);
            };
            const winsize window{.ws_row = word(0), .ws_col = word(2), .ws_xpixel = 0, .ws_ypixel = 0};
            ioctl(output_.get(), TIOCSWINSZ, &window);
        }
        break;
    case Packet::signal:
        if (data.size() == 1 && !exit_code_) {
            syscall(SYS_pidfd_send_signal, process_.get(), data[0], nullptr, 0);
        }
        break;
    default: break;
    }
}

void Supervisor::write_input() {
    const auto& sink = instance_.settings.terminal ? output_ : input_;
    while (!pending_input_.empty()) {
        const auto size = sink ? write(sink.get(), pending_input_.data(), pending_input_.size()) : -1;
        if (size < 0 && sink && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        pending_input_.erase(0, size < 0 ? std::string::npos
                                         : static_cast<std::size_t>(size)); // nobody reads any more
    }
    if (end_of_input_ && !instance_.settings.terminal) {
        input_.reset();
    }
}

void Supervisor::end_clients() {
    const char code = static_cast<char>(instance_.exit_code);
    tell(static_cast<char>(Packet::exit), {&code, 1});
    for (auto& client : clients_) {
        while (!client.gone && !client.queue.empty()) {
            pollfd file{client.socket.get(), POLLOUT, 0};
            if (poll(&file, 1, farewell) <= 0) {
                break;
            }
            write_client(client);
        }
    }
}

bool Supervisor::congested() const {
    return std::ranges::any_of(clients_, [](const Client& client) { return client.queued > most_queued; });
}

} // namespace strata::instance
