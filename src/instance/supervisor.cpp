#include "instance/supervisor.hpp"

#include "instance/attachment.hpp"
#include "instance/events.hpp"
#include "instance/life_cycle.hpp"
#include "instance/root_filesystem.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <ctime>
#include <poll.h>
#include <unistd.h>

namespace strata::instance {
namespace {

constexpr int shortest_pause = 100,
              longest_pause = 60'000; // milliseconds before a container is started again
constexpr std::int64_t steady =
    10; // seconds after which a container that ends starts again without a longer pause

} // namespace

Supervisor::Supervisor(std::string directory, std::string store, std::string id, FileDescriptor attached)
    : directory_(std::move(directory)), store_(std::move(store)), id_(std::move(id)),
      path_(directory_ + "/containers/" + id_), runtime_(directory_ + "/run") {
    if (attached) {
        clients_.push_back({.socket = std::move(attached)});
    }
}

Result<const Instances*> Supervisor::open_state() {
    if (!state_) {
        auto opened = Instances::open(directory_, store_);
        if (!opened) {
            return std::unexpected(opened.error());
        }
        state_.emplace(std::move(*opened));
    }
    return &*state_;
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
            static_cast<void>((*instances)->save_state(instance_));
            lines_ = leave_network(**instances, instance_);
        }
    }
    close_state();
    return started;
}

void Supervisor::watch() {
    int pause = shortest_pause;
    while (true) {
        watch_once();
        record_end();
        if (!wants_restart()) {
            break;
        }
        lines_ = {};
        pause = std::time(nullptr) - instance_.started > steady ? shortest_pause
                                                                : std::min(2 * pause, longest_pause);
        rest(pause);
        if (!wants_restart()) { // stopped meanwhile
            break;
        }
        ++instance_.restarts;
        if (auto started = start_container(); !started) {
            log().write("stderr", "strata: " + started.error().message + "\n");
            instance_.exit_code = 127;
            if (const auto instances = open_state()) {
                instance_.status = Status::exited;
                instance_.error = started.error().message;
                static_cast<void>((*instances)->save_state(instance_));
                lines_ = leave_network(**instances, instance_);
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
    lock_.reset(); // it may be started again; its lines go now, when nobody waits for that
}

// Until it is time to start the container again, or a user stops it: whoever does comes to the socket.
void Supervisor::rest(int milliseconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    while (!was_stopped()) {
        close_state();
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        pollfd file{listener_.get(), POLLIN, 0};
        if (left.count() <= 0 || poll(&file, 1, static_cast<int>(left.count())) == 0) {
            break;
        }
        accept_client();
    }
}

bool Supervisor::was_stopped() {
    const auto instances = open_state();
    const auto current =
        instances ? (*instances)->find(id_) : Result<Instance>(std::unexpected(instances.error()));
    return !current || current->stopped; // or removed
}

void Supervisor::record_end() {
    instance_.status = Status::exited;
    instance_.exit_code = exit_code_.value_or(255);
    instance_.finished = std::time(nullptr);
    static_cast<void>(runtime_.remove(id_));
    ports_ = {};
    health_.reset();
    if (const auto instances = open_state()) {
        static_cast<void>((*instances)->save_state(instance_));
        record_event((*instances)->database(), instance_, "die",
                     {{"exitCode", std::to_string(instance_.exit_code)}});
        lines_ = leave_network(**instances, instance_);
    }
    network_.reset();
}

bool Supervisor::wants_restart() {
    const auto instances = open_state();
    const auto current =
        instances ? (*instances)->find(id_) : Result<Instance>(std::unexpected(instances.error()));
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

void Supervisor::clean_up() {
    unlink((path_ + "/" + attach_socket).c_str());
    unmount_root(path_ + "/root"); // else it could not be removed
    if (!instance_.settings.auto_remove) {
        return;
    }
    if (const auto instances = open_state()) {
        static_cast<void>(remove_ended(**instances, instance_, true));
    }
}

} // namespace strata::instance
