// A container whose monitor was killed goes on; another monitor takes it over: its streams, the network's
// helpers, its published ports, its health check, and how it ends.
#include "instance/supervisor.hpp"

#include "instance/process_table.hpp"
#include "instance/root_filesystem.hpp"
#include "instance/streams.hpp"
#include "instance/terminal_keeper.hpp"

#include <chrono>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace strata::instance {
namespace {

// What the killed monitor's helpers have they give back when the kernel has ended them.
Result<void> try_until_free(const std::function<Result<void>()>& act) {
    using std::chrono::steady_clock;
    constexpr auto patience = std::chrono::seconds(5);
    constexpr int pause = 20; // milliseconds
    const auto end = steady_clock::now() + patience;
    while (true) {
        auto done = act();
        const bool busy = !done && (done.error().code == EADDRINUSE || done.error().code == EBUSY);
        if (!busy || steady_clock::now() > end) {
            return done;
        }
        poll(nullptr, 0, pause);
    }
}

} // namespace

Result<void> Supervisor::adopt() {
    const auto instances = take_instance();
    if (!instances) {
        return std::unexpected(instances.error());
    }
    if (!instance_.alive()) {
        return fail(fmt::format("container {} does not run", instance_.name));
    }
    process_.reset(static_cast<int>(syscall(SYS_pidfd_open, instance_.pid, 0)));
    if (!process_ || !is_alive(instance_.pid, instance_.pid_start)) {
        return fail(fmt::format("container {} has ended", instance_.name));
    }
    is_adopted_ = true;
    if (runtime_.is_unstarted(id_)) {
        end_unstarted(**instances);
        return fail(fmt::format("container {} has ended", instance_.name));
    }
    auto done = hide_mounts();
    done = done ? listen() : done;
    if (!done) {
        return done;
    }
    if (instance_.settings.terminal) {
        output_ = kept_terminal(path_);
    } else {
        output_ = reopen_output(path_, output_name);
        error_ = reopen_output(path_, error_name);
        input_ = instance_.settings.interactive ? reopen_input(path_) : FileDescriptor();
    }
    if (auto taken = take_over(**instances); !taken) { // it runs nevertheless
        log().write("stderr", "strata: " + taken.error().message + "\n");
    }
    close_state();
    return {};
}

// Its program never began, and whoever started it was told so.
void Supervisor::end_unstarted(const Instances& instances) {
    static_cast<void>(runtime_.remove(id_));
    instance_.status = Status::exited;
    instance_.exit_code = killed_unseen;
    instance_.error = "its monitor was killed before its program ran";
    static_cast<void>(instances.save_state(instance_));
}

Result<void> Supervisor::take_over(const Instances& instances) {
    auto done = try_until_free([&]() -> Result<void> {
        auto network = reconnect_network(instances, instance_);
        if (!network) {
            return std::unexpected(network.error());
        }
        network_ = std::move(*network);
        return {};
    });
    done = done ? try_until_free([&] { return publish(instances); }) : done;
    if (!instance_.settings.health.test.empty()) {
        const FileDescriptor root(
            open(fmt::format("/proc/{}/root", instance_.pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        const auto user = resolve_user(root.get(), instance_.settings.user, instance_.settings.groups);
        user_ = user.value_or(User{});
        health_.emplace([this] { return Instances::open(directory_, store_); }, runtime_, instance_, user_,
                        read_health(instances.database(), id_).value_or(Health{}));
    }
    return done;
}

} // namespace strata::instance
