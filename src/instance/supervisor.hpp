// What a monitor does: one container from its start to its end.
#pragma once

#include "instance/health_monitor.hpp"
#include "instance/instances.hpp"
#include "instance/log.hpp"
#include "instance/network/network.hpp"
#include "instance/runtime.hpp"

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <poll.h>
#include <vector>

namespace strata::instance {

class Supervisor {
public:
    // Takes the directories by name: what its parent had open is closed. `attached` is a socket, or nothing.
    Supervisor(std::string directory, std::string store, std::string id, FileDescriptor attached);

    // Makes the container and starts its program.
    [[nodiscard]] Result<void> begin();
    // Takes over a container whose monitor was killed: its program goes on.
    [[nodiscard]] Result<void> adopt();
    // Until the container has ended, and is not to be started again.
    void watch();

private:
    struct Client {
        FileDescriptor socket;
        std::deque<std::string> queue{};
        std::size_t queued = 0;
        bool gone = false;
    };

    // The state stays open while the container is being started, or cleared up after, and no longer: it costs
    // memory that an idle monitor is not to have.
    [[nodiscard]] Result<const Instances*> open_state();

    void close_state() { state_.reset(); }

    [[nodiscard]] LogWriter& log() {
        return *log_;
    } // NOLINT(bugprone-unchecked-optional-access): prepare() made it

    [[nodiscard]] Result<const Instances*> take_instance();
    [[nodiscard]] Result<void> prepare();
    [[nodiscard]] Result<void> mount(const Instances& instances);
    [[nodiscard]] Result<void> listen();
    [[nodiscard]] Result<void> start_container();
    [[nodiscard]] Result<void> publish(const Instances& instances);
    [[nodiscard]] Result<void> take_over(const Instances& instances);
    void end_unstarted(const Instances& instances);
    [[nodiscard]] Result<pid_t> create_container(const std::string& console, const Streams& streams);
    [[nodiscard]] Result<Streams> make_streams(std::list<FileDescriptor>& inside);
    [[nodiscard]] Result<void> write_bundle(const Instances& instances);
    void watch_once();
    void record_end();
    [[nodiscard]] bool wants_restart();
    [[nodiscard]] bool was_stopped();
    void rest(int milliseconds);
    void clean_up();

    [[nodiscard]] std::vector<pollfd> awaited() const;
    void serve(const std::vector<pollfd>& files);
    void reap();
    void take_adopted_end();
    void accept_client();
    void read_output(FileDescriptor& file, std::string_view stream);
    void tell(char kind, std::string_view data);
    void read_client(Client& client);
    static void write_client(Client& client);
    void write_input();
    void end_clients();
    [[nodiscard]] bool congested() const;

    std::string directory_, store_, id_, path_;
    std::optional<Instances> state_{};
    Runtime runtime_;
    Instance instance_{};
    FileDescriptor lock_{}, signals_{}, listener_{};
    FileDescriptor process_{};                    // a pidfd of the container's first
    bool is_adopted_ = false;                     // that one is not this process's child
    FileDescriptor input_{}, output_{}, error_{}; // the monitor's ends; a terminal is input and output
    std::string root_{}, pending_input_{};
    bool end_of_input_ = false;
    std::list<Client> clients_{};
    std::optional<LogWriter> log_{};
    std::optional<Connection> network_{};
    HostDevices lines_{}; // of a run that has ended
    std::optional<int> exit_code_{};
    User user_{}; // who the program is, for the health check
    std::optional<HealthMonitor> health_{};
    HelperProcess ports_{}; // passes on what comes to published ports
};

} // namespace strata::instance
