// The instances of this host: what they are (SQLite) and what becomes of them. Any number of processes share
// them.
//
//   DIRECTORY/state.db               names, settings, exit codes
//   DIRECTORY/containers/ID/         upper/ and work/ of its root, bundle/, logs, sockets; lock, which its
//                                    monitor owns
//   DIRECTORY/unfinished/ID          while the instance is made or removed, owned by who does it
//   DIRECTORY/volumes/NAME/data      volumes
//   DIRECTORY/run/                   the runtime's own state
//
// An instance runs if its first process lives, whatever the database says: whoever reads the database sets it
// right.
#pragma once

#include "image/store/store.hpp"
#include "instance/database.hpp"
#include "instance/identity.hpp"
#include "instance/settings.hpp"
#include "instance/unfinished_mark.hpp"

#include <optional>
#include <string>
#include <vector>

namespace strata::instance {

enum class Status { created, running, paused, exited };

[[nodiscard]] const char* name_of(Status status);

// The exit code of one whose end nobody saw: as if by SIGKILL.
inline constexpr int killed_unseen = 137;

struct Instance {
    std::string id{}, name{};
    Settings settings{};
    Status status = Status::created;
    std::int64_t pid = 0, pid_start = 0; // of the first process, and when it began in clock ticks after boot
    int exit_code = 0;
    std::string error{};                                 // why it did not start
    std::int64_t created = 0, started = 0, finished = 0; // seconds since 1970
    std::int64_t restarts = 0;
    std::string address{}; // in the bridge's network
    bool stopped = false;  // by a user, so that it is not started again

    [[nodiscard]] bool alive() const { return status == Status::running || status == Status::paused; }

    [[nodiscard]] std::string short_id() const { return id.substr(0, short_id_digits); }
};

class Instances {
public:
    // Opens the state, or makes an empty one; `store` is the directory of the image store.
    [[nodiscard]] static Result<Instances> open(const std::string& directory, std::string store);
    // /var/lib/strata, or the user's own data directory.
    [[nodiscard]] static std::string default_directory();

    [[nodiscard]] const std::string& directory() const { return directory_; }

    [[nodiscard]] const std::string& store_directory() const { return store_; }

    [[nodiscard]] const Database& database() const { return database_; }

    // Where an instance's files are.
    [[nodiscard]] std::string path(const Instance& instance, const std::string& file = {}) const;

    [[nodiscard]] Result<std::vector<Instance>> list() const;
    // By name, ID, or the beginning of an ID. The error's code is ENOENT if there is none.
    [[nodiscard]] Result<Instance> find(const std::string& text) const;

    // Makes an instance; with an empty name it gets one. The image, if there is one, must be in the store.
    // `unstarted` gets its mark, which is to be cleared when it runs: one that is to be removed at its end
    // does not outlive a maker that is killed before.
    [[nodiscard]] Result<Instance> create(const std::string& name, Settings settings,
                                          const std::optional<image::Image>& image,
                                          std::optional<UnfinishedMark>* unstarted = nullptr) const;
    // Removes all of it. It must not run.
    [[nodiscard]] Result<void> remove(const Instance& instance) const;

    // Writes what becomes of it: everything but name, settings, and whether a user stopped it.
    [[nodiscard]] Result<void> save_state(const Instance& instance) const;
    [[nodiscard]] Result<void> save_settings(const Instance& instance) const;
    [[nodiscard]] Result<void> set_stopped(const Instance& instance, bool stopped) const;
    [[nodiscard]] Result<void> rename(const Instance& instance, const std::string& name) const;

private:
    Instances(std::string directory, std::string store, Database database)
        : directory_(std::move(directory)), store_(std::move(store)), database_(std::move(database)) {}

    [[nodiscard]] Result<std::vector<Instance>> select(Statement& rows) const;
    [[nodiscard]] Result<void> settle(Instance& instance) const;
    [[nodiscard]] Result<void> sweep() const;
    [[nodiscard]] Result<void> delete_row(const std::string& id) const;
    [[nodiscard]] Result<void> unpack(Instance& instance, const image::Image& image) const;
    [[nodiscard]] Result<void> make_files(Instance& instance, const std::optional<image::Image>& image) const;
    [[nodiscard]] Result<void> remove_files(const std::string& id) const;
    [[nodiscard]] Result<void> insert(Instance& instance) const;

    std::string directory_, store_;
    Database database_;
};

} // namespace strata::instance
