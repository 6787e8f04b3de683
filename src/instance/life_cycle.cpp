#include "instance/life_cycle.hpp"

#include "base/file_descriptor.hpp"
#include "instance/attachment.hpp"
#include "instance/console.hpp"
#include "instance/events.hpp"
#include "instance/network/network.hpp"
#include "instance/owner_lock.hpp"
#include "instance/process_table.hpp"
#include "instance/runtime.hpp"
#include "instance/volumes.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace strata::instance {
namespace {

Runtime runtime_of(const Instances& instances) { return Runtime(instances.directory() + "/run"); }

std::unexpected<Error> not_running(const Instance& instance) {
    return fail(fmt::format("container {} does not run", instance.name), "strata start starts it");
}

// Waits until the process is gone, or so many milliseconds; -1 without end.
bool wait_for_process(const Instance& instance, std::int64_t milliseconds) {
    const FileDescriptor process(static_cast<int>(syscall(SYS_pidfd_open, instance.pid, 0)));
    if (!process || !is_alive(instance.pid, instance.pid_start)) {
        return true;
    }
    pollfd file{process.get(), POLLIN, 0};
    int ready = 0;
    while ((ready = poll(&file, 1, static_cast<int>(milliseconds))) < 0 && errno == EINTR) {
    }
    return ready > 0;
}

// Tells the monitor of a container that is between two runs, if there is one, to look at the state.
void wake_monitor(const Instances& instances, const Instance& instance) {
    static_cast<void>(connect_to(instances.path(instance), attach_socket, SOCK_SEQPACKET));
}

// Until its monitor has written down how it ended, and has gone.
void wait_for_monitor(const Instances& instances, const Instance& instance) {
    const FileDescriptor lock(open(instances.path(instance, "lock").c_str(), O_RDWR | O_CLOEXEC));
    wait_for_owner(lock);
}

// 64 hexadecimal digits, as volumes have that were asked for without a name.
bool is_anonymous(const std::string& volume) {
    return volume.size() == 64 && volume.find_first_not_of("0123456789abcdef") == std::string::npos;
}

} // namespace

Result<int> parse_signal(const std::string& text) {
    int number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure == std::errc{} && end == text.data() + text.size() && number > 0 && number < NSIG) {
        return number;
    }
    auto name = text;
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    if (name.starts_with("SIG")) {
        name.erase(0, 3);
    }
    for (number = 1; number < NSIG; ++number) {
        const char* known = sigabbrev_np(number);
        if (known != nullptr && name == known) {
            return number;
        }
    }
    for (const auto& [prefix, base] : {std::pair(std::string("RTMIN+"), SIGRTMIN), {"RTMAX-", -SIGRTMAX}}) {
        int offset = 0;
        if (name.starts_with(prefix) &&
            std::from_chars(name.data() + prefix.size(), name.data() + name.size(), offset).ec ==
                std::errc{}) {
            return base < 0 ? -base - offset : base + offset;
        }
    }
    return fail(fmt::format("there is no signal '{}'", text), "signal(7) lists them: TERM, KILL, HUP, …");
}

Result<void> kill(const Instances& instances, const Instance& instance, int signal) {
    if (!instance.alive()) {
        return not_running(instance);
    }
    auto killed = runtime_of(instances).kill(instance.id, signal);
    if (killed) {
        record_event(instances.database(), instance, "kill", {{"signal", std::to_string(signal)}});
    }
    return killed;
}

Result<void> stop(const Instances& instances, const Instance& instance, std::optional<std::int64_t> seconds) {
    if (auto told = instances.set_stopped(instance, true); !told) {
        return told;
    }
    if (!instance.alive()) {
        wake_monitor(instances, instance);
        wait_for_monitor(instances, instance);
        return {};
    }
    const auto signal = parse_signal(instance.settings.stop_signal);
    if (!signal) {
        return std::unexpected(signal.error());
    }
    if (instance.status == Status::paused) {
        if (auto resumed = runtime_of(instances).resume(instance.id); !resumed) {
            return resumed;
        }
    }
    const auto patience = seconds.value_or(instance.settings.stop_seconds);
    static_cast<void>(runtime_of(instances).kill(instance.id, *signal)); // it may have ended by itself
    if (!wait_for_process(instance, patience < 0 ? -1 : patience * 1000)) {
        static_cast<void>(runtime_of(instances).kill(instance.id, SIGKILL));
        wait_for_process(instance, -1);
    }
    wait_for_monitor(instances, instance);
    record_event(instances.database(), instance, "stop");
    return {};
}

Result<void> pause(const Instances& instances, const Instance& instance, bool paused) {
    if (!instance.alive()) {
        return not_running(instance);
    }
    if ((instance.status == Status::paused) == paused) {
        return fail(fmt::format("container {} is {}paused", instance.name, paused ? "already " : "not "));
    }
    const auto runtime = runtime_of(instances);
    if (auto done = paused ? runtime.pause(instance.id) : runtime.resume(instance.id); !done) {
        return done;
    }
    auto changed = instance;
    changed.status = paused ? Status::paused : Status::running;
    auto saved = instances.save_state(changed);
    record_event(instances.database(), changed, paused ? "pause" : "unpause");
    return saved;
}

Result<int> wait(const Instances& instances, const Instance& instance) {
    // Its monitor tells those who are attached, also when it removes the container.
    if (const auto monitor = connect_to(instances.path(instance), attach_socket, SOCK_SEQPACKET)) {
        if (const auto code = hear_exit_code(monitor->get())) {
            return *code;
        }
    }
    if (instance.alive()) {
        wait_for_process(instance, -1);
        wait_for_monitor(instances, instance);
    }
    const auto ended = instances.find(instance.id);
    if (!ended) {
        return std::unexpected(ended.error());
    }
    return ended->exit_code;
}

Result<void> remove_instance(const Instances& instances, const Instance& instance, bool volumes, bool force) {
    if (instance.alive() && !force) {
        return fail(fmt::format("container {} is {}", instance.name, name_of(instance.status)),
                    "stop it first (strata stop), or remove it with --force");
    }
    if (instance.alive()) {
        static_cast<void>(instances.set_stopped(instance, true));
        if (instance.status == Status::paused) {
            static_cast<void>(runtime_of(instances).resume(instance.id));
        }
        static_cast<void>(runtime_of(instances).kill(instance.id, SIGKILL));
        wait_for_process(instance, -1);
        wait_for_monitor(instances, instance);
    } else if (auto stopped = stop(instances, instance, std::nullopt); !stopped) {
        return stopped;
    }
    return remove_ended(instances, instance, volumes);
}

void remove_abandoned(const Instances& instances) {
    auto rows = instances.database().prepare("SELECT id FROM instances WHERE status = ? "
                                             "AND json_extract(settings, '$.auto_remove')");
    rows.bind(static_cast<std::int64_t>(Status::exited));
    std::vector<std::string> ids;
    while (rows.step().value_or(false)) {
        ids.push_back(rows.text());
    }
    for (const auto& mark : UnfinishedMark::abandoned(instances.directory())) {
        ids.push_back(mark.id()); // one that was not started
    }
    for (const auto& id : ids) {
        const auto instance = instances.find(id);
        if (!instance || instance->alive() || !instance->settings.auto_remove) {
            continue;
        }
        const FileDescriptor lock(
            open(instances.path(*instance, "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (lock && own(lock) &&
            !instances.find(id).value_or(*instance).alive()) { // else its monitor is about to
            static_cast<void>(remove_ended(instances, *instance, true));
        }
    }
}

Result<void> remove_ended(const Instances& instances, const Instance& instance, bool volumes) {
    static_cast<void>(runtime_of(instances).remove(instance.id));
    const auto lines = leave_network(instances, instance);
    if (auto removed = instances.remove(instance); !removed) {
        return removed;
    }
    for (const auto& point : instance.settings.mounts) {
        if (volumes && point.type == "volume" && is_anonymous(point.source)) {
            static_cast<void>(remove_volume(instances, point.source)); // unless another container has it
        }
    }
    return {};
}

} // namespace strata::instance
