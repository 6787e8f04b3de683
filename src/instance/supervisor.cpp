#include "instance/supervisor.hpp"

#include "base/atomic_file.hpp"
#include "instance/attachment.hpp"
#include "instance/bundle.hpp"
#include "instance/console.hpp"
#include "instance/host_files.hpp"
#include "instance/life_cycle.hpp"
#include "instance/network/proxy.hpp"
#include "instance/owner_lock.hpp"
#include "instance/process_table.hpp"
#include "instance/root_filesystem.hpp"
#include "instance/volumes.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <vector>

namespace strata::instance {
namespace {

constexpr std::size_t most_queued = 1U << 20; // bytes for one who reads slowly; then the container waits
constexpr std::size_t most_pending_input = 64U << 10;
constexpr int farewell = 10'000; // milliseconds for the last packets
constexpr int shortest_pause = 100,
              longest_pause = 60'000; // milliseconds before a container is started again
constexpr std::int64_t steady =
    10; // seconds after which a container that ends starts again without a longer pause

int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

void set_nonblocking(const FileDescriptor& file) {
    fcntl(file.get(), F_SETFL, fcntl(file.get(), F_GETFL) | O_NONBLOCK);
}

Result<std::pair<FileDescriptor, FileDescriptor>> make_pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail_errno("make", "a pipe");
    }
    return std::pair(FileDescriptor(ends[0]), FileDescriptor(ends[1]));
}

} // namespace

Supervisor::Supervisor(std::string directory, std::string store, std::string id, FileDescriptor attached)
    : directory_(std::move(directory)), store_(std::move(store)), id_(std::move(id)),
      path_(directory_ + "/containers/" + id_), runtime_(directory_ + "/run") {
    if (attached) {
        clients_.push_back({.socket = std::move(attached)});
    }
}

Result<Instances> Supervisor::open_state() const {
    auto store = image::Store::open(store_);
    if (!store) {
        return std::unexpected(store.error());
    }
    return Instances::open(directory_, std::move(*store));
}

Result<void> Supervisor::begin() {
    if (auto prepared = prepare(); !prepared) {
        return prepared;
    }
    auto started = start_container();
    if (!started) {
        static_cast<void>(runtime_.remove(id_));
        if (const auto instances = open_state()) {
            instance_.error = started.error().message;
            instance_.exit_code = 127;
            static_cast<void>(instances->save_state(instance_));
            disconnect_network(*instances, instance_);
        }
    }
    return started;
}

Result<void> Supervisor::prepare() {
    lock_ = FileDescriptor(open((path_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_ || !own(lock_)) {
        return fail("the container is being started, or runs already");
    }
    const auto instances = open_state();
    if (!instances) {
        return std::unexpected(instances.error());
    }
    auto instance = instances->find(id_);
    if (!instance) {
        return std::unexpected(instance.error());
    }
    instance_ = std::move(*instance);
    if (instance_.alive()) {
        return fail(fmt::format("container {} runs already", instance_.name));
    }
    static_cast<void>(instances->set_stopped(instance_, false));
    if (auto hidden = hide_mounts(); !hidden) {
        return hidden;
    }
    auto root = mount_root(*instances, instance_);
    if (!root) {
        return std::unexpected(root.error());
    }
    root_ = std::move(*root);
    const FileDescriptor place(open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    auto listener = listen_at(place.get(), attach_socket, SOCK_SEQPACKET);
    if (!listener) {
        return std::unexpected(listener.error());
    }
    listener_ = std::move(*listener);
    log_.emplace(path_ + "/log.json", instance_.settings.log_size, instance_.settings.log_files);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signals_ = FileDescriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    return {};
}

Result<void> Supervisor::write_bundle(const Instances& instances) {
    const FileDescriptor root(open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) {
        return fail_errno("open the root directory", root_);
    }
    auto user = resolve_user(root.get(), instance_.settings.user, instance_.settings.groups);
    if (!user) {
        return std::unexpected(user.error());
    }
    std::vector<std::string> addresses{network_->address, network_->address6};
    std::erase(addresses, "");
    auto files = write_host_files(path_, instance_, addresses);
    if (!files) {
        return std::unexpected(files.error());
    }
    Surroundings surroundings{.root = root_,
                              .network_namespace = network_->namespace_path,
                              .files = std::move(*files),
                              .user = std::move(*user)};
    for (const auto& point : instance_.settings.mounts) {
        if (point.type == "volume") {
            auto volume = need_volume(instances, point.source);
            if (!volume) {
                return std::unexpected(volume.error());
            }
            if (auto filled = fill_volume(volume->path, root.get(), point.target); !filled) {
                return filled;
            }
            surroundings.volumes.push_back(volume->path);
        }
    }
    const auto config = bundle_config(instance_, surroundings);
    if (!config) {
        return std::unexpected(config.error());
    }
    return replace_file(path_ + "/bundle/config.json", *config, 0600);
}

// The ends for the container stay open, in `inside`, until it has them.
Result<Streams> Supervisor::make_streams(std::list<FileDescriptor>& inside) {
    Streams streams;
    if (instance_.settings.terminal) {
        return streams;
    }
    const auto connect = [&](FileDescriptor& ours, int& theirs, bool reads) -> Result<void> {
        auto ends = make_pipe();
        if (!ends) {
            return std::unexpected(ends.error());
        }
        auto& [read_end, write_end] = *ends;
        ours = std::move(reads ? read_end : write_end);
        set_nonblocking(ours);
        inside.push_back(std::move(reads ? write_end : read_end));
        theirs = inside.back().get();
        return {};
    };
    auto done = connect(output_, streams.output, true);
    done = done ? connect(error_, streams.error, true) : done;
    if (done && instance_.settings.interactive) {
        done = connect(input_, streams.input, false);
    }
    return done ? Result<Streams>(streams) : std::unexpected(done.error());
}

Result<void> Supervisor::start_container() {
    const auto instances = open_state();
    if (!instances) {
        return std::unexpected(instances.error());
    }
    auto network = connect_network(*instances, instance_);
    if (!network) {
        return std::unexpected(network.error());
    }
    network_ = std::move(*network);
    if (auto written = write_bundle(*instances); !written) {
        return written;
    }
    std::list<FileDescriptor> inside;
    const auto streams = make_streams(inside);
    if (!streams) {
        return std::unexpected(streams.error());
    }
    std::optional<ConsoleSocket> console;
    if (instance_.settings.terminal) {
        auto socket = ConsoleSocket::open(directory_ + "/run");
        if (!socket) {
            return std::unexpected(socket.error());
        }
        console.emplace(std::move(*socket));
    }
    static_cast<void>(runtime_.remove(id_)); // what a monitor that was killed has left
    const auto pid = runtime_.create(id_, path_ + "/bundle", console ? console->path() : "", *streams);
    if (!pid) {
        return std::unexpected(pid.error());
    }
    if (console) {
        auto terminal = console->receive();
        if (!terminal) {
            return std::unexpected(terminal.error());
        }
        set_nonblocking(*terminal);
        output_ = std::move(*terminal);
    }
    exit_code_.reset();
    instance_.pid = *pid;
    instance_.pid_start = start_time(*pid);
    instance_.status = Status::running;
    instance_.started = std::time(nullptr);
    instance_.error.clear();
    instance_.address = network_->address;
    // Before the program begins, so that nobody takes what runs for something that does not.
    if (auto saved = instances->save_state(instance_); !saved) {
        return saved;
    }
    if (!instance_.settings.ports.empty() && !network_->address.empty()) {
        if (auto published = publish_ports(instance_.settings.ports, network_->address, ports_); !published) {
            instance_.status = Status::created;
            return published;
        }
        static_cast<void>(instances->save_settings(instance_)); // the ports that were free
    }
    if (auto started = runtime_.start(id_); !started) {
        instance_.status = Status::created;
        return started;
    }
    return {};
}

void Supervisor::watch() {
    int pause = shortest_pause;
    while (true) {
        watch_once();
        record_end();
        if (!wants_restart()) {
            break;
        }
        pause = std::time(nullptr) - instance_.started > steady ? shortest_pause
                                                                : std::min(2 * pause, longest_pause);
        rest(pause);
        if (!wants_restart()) { // stopped meanwhile
            break;
        }
        ++instance_.restarts;
        if (auto started = start_container(); !started) {
            log_->write("stderr", "strata: " + started.error().message + "\n");
            instance_.exit_code = 127;
            if (const auto instances = open_state()) {
                instance_.status = Status::exited;
                instance_.error = started.error().message;
                static_cast<void>(instances->save_state(instance_));
            }
            static_cast<void>(runtime_.remove(id_));
            break;
        }
        if (was_stopped()) { // by one who took it for ended
            static_cast<void>(runtime_.kill(id_, SIGKILL));
        }
    }
    clean_up(); // before those who wait hear of the end: a container that was to be removed is
    end_clients();
}

// Until it is time to start the container again, or a user stops it: whoever does comes to the socket.
void Supervisor::rest(int milliseconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (!was_stopped()) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd file{listener_.get(), POLLIN, 0};
        if (left.count() <= 0 || poll(&file, 1, static_cast<int>(left.count())) == 0) {
            break;
        }
        accept_client();
    }
}

bool Supervisor::was_stopped() const {
    const auto instances = open_state();
    const auto current =
        instances ? instances->find(id_) : Result<Instance>(std::unexpected(instances.error()));
    return !current || current->stopped; // or removed
}

bool Supervisor::congested() const {
    return std::ranges::any_of(clients_, [](const Client& client) { return client.queued > most_queued; });
}

void Supervisor::watch_once() {
    reap(); // what ended before SIGCHLD was looked for
    while (true) {
        std::erase_if(clients_, [](const Client& client) { return client.gone; });
        const bool full = congested();
        std::vector<pollfd> files{{signals_.get(), POLLIN, 0},
                                  {listener_.get(), POLLIN, 0},
                                  {full ? -1 : output_.get(), POLLIN, 0},
                                  {full ? -1 : error_.get(), POLLIN, 0}};
        const auto& sink = instance_.settings.terminal ? output_ : input_;
        files.push_back({pending_input_.empty() ? -1 : sink.get(), POLLOUT, 0});
        for (const auto& client : clients_) {
            const auto reads = pending_input_.size() < most_pending_input ? POLLIN : 0;
            files.push_back(
                {client.socket.get(), static_cast<short>(reads | (client.queue.empty() ? 0 : POLLOUT)), 0});
        }
        // After the end there is only what is in the pipes.
        const int ready = poll(files.data(), files.size(), exit_code_ && !full ? 0 : -1);
        if (ready == 0 && exit_code_) {
            break;
        }
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
        auto file = files.begin() + 5;
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
        if (exit_code_ && !output_ && !error_) {
            break;
        }
    }
    log_->flush();
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
        if (pid == instance_.pid) {
            exit_code_ = code_of(status);
        }
    }
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
    log_->write(stream, data);
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
            ::kill(static_cast<pid_t>(instance_.pid), data[0]); // not reaped yet, so it is still that process
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

void Supervisor::record_end() {
    instance_.status = Status::exited;
    instance_.exit_code = exit_code_.value_or(255);
    instance_.finished = std::time(nullptr);
    static_cast<void>(runtime_.remove(id_));
    if (ports_ > 0) {
        ::kill(ports_, SIGKILL); // reaped as what else the container leaves
        ports_ = 0;
    }
    if (const auto instances = open_state()) {
        static_cast<void>(instances->save_state(instance_));
        disconnect_network(*instances, instance_);
    }
    network_.reset();
}

bool Supervisor::wants_restart() {
    const auto instances = open_state();
    const auto current =
        instances ? instances->find(id_) : Result<Instance>(std::unexpected(instances.error()));
    if (!current || current->stopped) {
        return false;
    }
    const auto& policy = current->settings.restart;
    if (policy.starts_with("on-failure")) {
        const auto colon = policy.find(':');
        std::int64_t most = 0;
        if (colon != std::string::npos) {
            std::from_chars(policy.data() + colon + 1, policy.data() + policy.size(), most);
        }
        return instance_.exit_code != 0 && (most == 0 || instance_.restarts < most);
    }
    return policy == "always" || policy == "unless-stopped";
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

void Supervisor::clean_up() {
    unlink((path_ + "/" + attach_socket).c_str());
    unmount_root(path_ + "/root"); // else it could not be removed
    if (!instance_.settings.auto_remove) {
        return;
    }
    if (const auto instances = open_state()) {
        static_cast<void>(remove_ended(*instances, instance_, true));
    }
}

} // namespace strata::instance
