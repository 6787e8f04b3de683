// A container's start: what its monitor prepares once, and what each start of its program takes.
#include "instance/supervisor.hpp"

#include "base/atomic_file.hpp"
#include "instance/attachment.hpp"
#include "instance/bundle.hpp"
#include "instance/console.hpp"
#include "instance/events.hpp"
#include "instance/host_files.hpp"
#include "instance/in_child.hpp"
#include "instance/network/proxy.hpp"
#include "instance/owner_lock.hpp"
#include "instance/process_table.hpp"
#include "instance/root_filesystem.hpp"
#include "instance/streams.hpp"
#include "instance/terminal_keeper.hpp"
#include "instance/volumes.hpp"

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <vector>

namespace strata::instance {
namespace {

void set_nonblocking(const FileDescriptor& file) {
    fcntl(file.get(), F_SETFL, fcntl(file.get(), F_GETFL) | O_NONBLOCK);
}

} // namespace

// The container is this monitor's from here on.
Result<const Instances*> Supervisor::take_instance() {
    lock_ = FileDescriptor(open((path_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_ || !own(lock_)) {
        return fail("the container is being started, or runs already");
    }
    const auto instances = open_state();
    if (!instances) {
        return instances;
    }
    auto instance = (*instances)->find(id_);
    if (!instance) {
        return std::unexpected(instance.error());
    }
    instance_ = std::move(*instance);
    return instances;
}

Result<void> Supervisor::prepare() {
    const auto instances = take_instance();
    if (!instances) {
        return std::unexpected(instances.error());
    }
    if (instance_.alive()) {
        return fail(fmt::format("container {} runs already", instance_.name));
    }
    static_cast<void>((*instances)->set_stopped(instance_, false));
    auto done = hide_mounts();
    done = done ? mount(**instances) : done;
    return done ? listen() : done;
}

Result<void> Supervisor::mount(const Instances& instances) {
    auto root = mount_root(instances, instance_);
    if (!root) {
        return std::unexpected(root.error());
    }
    root_ = std::move(*root);
    return {};
}

// To those who want to be attached, and to ended children.
Result<void> Supervisor::listen() {
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
    user_ = *user;
    auto files = write_host_files(path_, instance_, network_->addresses, static_cast<bool>(network_->names));
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
    return replace_passing_file(path_ + "/bundle/config.json", *config, 0600);
}

// The ends for the container stay open, in `inside`, until it has them.
Result<Streams> Supervisor::make_streams(std::list<FileDescriptor>& inside) {
    Streams streams;
    if (instance_.settings.terminal) {
        return streams;
    }
    const auto connect = [&](Result<StreamPipe> pipe, FileDescriptor& ours, int& theirs) -> Result<void> {
        if (!pipe) {
            return std::unexpected(pipe.error());
        }
        ours = std::move(pipe->monitors);
        inside.push_back(std::move(pipe->programs));
        theirs = inside.back().get();
        return {};
    };
    auto done = connect(make_output(path_, output_name), output_, streams.output);
    done = done ? connect(make_output(path_, error_name), error_, streams.error) : done;
    if (done && instance_.settings.interactive) {
        done = connect(make_input(path_), input_, streams.input);
    }
    return done ? Result<Streams>(streams) : std::unexpected(done.error());
}

// In a child, which has the monitor's lock too: if the monitor is killed meanwhile, nobody takes the
// container for one that is not being made until the runtime is done with it.
Result<pid_t> Supervisor::create_container(const std::string& console, const Streams& streams) {
    const auto text = in_child([&]() -> Result<std::string> {
        const auto pid = runtime_.create(id_, path_ + "/bundle", console, streams);
        return pid ? Result<std::string>(std::to_string(*pid)) : std::unexpected(pid.error());
    });
    return text ? Result<pid_t>(std::atoi(text->c_str())) : std::unexpected(text.error());
}

Result<void> Supervisor::start_container() {
    const auto instances = open_state();
    if (!instances) {
        return std::unexpected(instances.error());
    }
    if (auto current = (*instances)->find(id_)) { // it may have been changed since the last start
        instance_.settings = std::move(current->settings);
    }
    auto network = connect_network(**instances, instance_);
    if (!network) {
        return std::unexpected(network.error());
    }
    network_ = std::move(*network);
    if (root_.empty()) { // an adopted container's was its own
        if (auto mounted = mount(**instances); !mounted) {
            return mounted;
        }
    }
    if (auto written = write_bundle(**instances); !written) {
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
    const auto pid = create_container(console ? console->path() : "", *streams);
    if (!pid) {
        return std::unexpected(pid.error());
    }
    if (console) {
        auto terminal = console->receive();
        if (!terminal) {
            return std::unexpected(terminal.error());
        }
        set_nonblocking(*terminal);
        if (auto kept = keep_terminal(path_, *terminal); !kept) {
            return kept;
        }
        output_ = std::move(*terminal);
    }
    exit_code_.reset();
    process_.reset(static_cast<int>(syscall(SYS_pidfd_open, *pid, 0)));
    is_adopted_ = false;
    instance_.pid = *pid;
    instance_.pid_start = start_time(*pid);
    instance_.status = Status::running;
    instance_.started = std::time(nullptr);
    instance_.error.clear();
    instance_.address = network_->address;
    // Before the program begins, so that nobody takes what runs for something that does not.
    if (auto saved = (*instances)->save_state(instance_); !saved) {
        return saved;
    }
    if (auto published = publish(**instances); !published) {
        instance_.status = Status::created;
        return published;
    }
    if (auto started = runtime_.start(id_); !started) {
        instance_.status = Status::created;
        return started;
    }
    record_event((*instances)->database(), instance_, "start");
    if (!instance_.settings.health.test.empty()) {
        health_.emplace([this] { return Instances::open(directory_, store_); }, runtime_, instance_, user_);
    }
    return {};
}

Result<void> Supervisor::publish(const Instances& instances) {
    if (instance_.settings.ports.empty() || network_->address.empty()) {
        return {};
    }
    const int space = instance_.settings.network == "user" ? network_->handle.get() : -1;
    auto published = publish_ports(instance_.settings.ports, network_->address, space);
    if (!published) {
        return std::unexpected(published.error());
    }
    ports_ = std::move(*published);
    static_cast<void>(instances.save_settings(instance_)); // the ports that were free
    return {};
}

} // namespace strata::instance
