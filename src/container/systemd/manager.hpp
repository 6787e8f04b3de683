// systemd's manager, which makes a unit and its control group for each container. The program strata-units
// speaks to it, so that this one, which starts for every container, needs no D-Bus.
#pragma once

#include "base/file_descriptor.hpp"
#include "container/systemd/limits.hpp"

#include <string>
#include <vector>

namespace strata::container {

class SystemdManager {
public:
    // Of the system or of the user. Returns before it was reached: what is asked first waits for that.
    [[nodiscard]] static Result<SystemdManager> open(bool user);

    SystemdManager(SystemdManager&& other) noexcept;
    SystemdManager& operator=(SystemdManager&&) = delete;
    SystemdManager(const SystemdManager&) = delete;
    SystemdManager& operator=(const SystemdManager&) = delete;
    ~SystemdManager();

    // Makes the unit. Its control group, from the hierarchy's root.
    [[nodiscard]] Result<std::string> start(const SystemdUnit& unit, const UnitProperties& properties);
    [[nodiscard]] Result<void> set(const SystemdUnit& unit, const UnitProperties& properties);
    // One that is gone is no error.
    [[nodiscard]] Result<void> stop(const SystemdUnit& unit);
    // Brings a process into it, or into a group below its own: a user's manager may do what the user may not.
    [[nodiscard]] Result<void> attach(const SystemdUnit& unit, pid_t pid, const std::string& group);

private:
    SystemdManager(FileDescriptor socket, pid_t pid) : socket_(std::move(socket)), pid_(pid) {}

    Result<std::string> ask(std::string_view verb, const SystemdUnit& unit,
                            const std::vector<std::string>& words);

    FileDescriptor socket_;
    pid_t pid_;
};

// An error on a host where systemd is not the first process.
[[nodiscard]] Result<void> check_systemd();

// The user's own manager for whoever is root of nothing but a user namespace, if there is one.
[[nodiscard]] bool wants_user_manager(bool rootless);

} // namespace strata::container
