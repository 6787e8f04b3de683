#include "instance/instances.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"
#include "base/remove_tree.hpp"
#include "image/store/pin.hpp"
#include "instance/events.hpp"
#include "instance/owner_lock.hpp"
#include "instance/process_table.hpp"
#include "instance/unfinished_mark.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <fmt/format.h>

namespace strata::instance {
namespace {

constexpr auto schema = R"(
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, settings TEXT NOT NULL, status INTEGER NOT NULL,
    pid INTEGER NOT NULL, pid_start INTEGER NOT NULL, exit_code INTEGER NOT NULL, error TEXT NOT NULL,
    created INTEGER NOT NULL, started INTEGER NOT NULL, finished INTEGER NOT NULL, restarts INTEGER NOT NULL,
    address TEXT NOT NULL, stopped INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS to_be_removed ON instances (status) WHERE json_extract(settings, '$.auto_remove');
CREATE TABLE IF NOT EXISTS networks (id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, settings TEXT NOT NULL,
    created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS endpoints (network TEXT NOT NULL, instance TEXT NOT NULL, aliases TEXT NOT NULL,
    wanted INTEGER NOT NULL, address INTEGER NOT NULL, device TEXT NOT NULL, UNIQUE (network, instance));
CREATE INDEX IF NOT EXISTS endpoints_of_instances ON endpoints (instance);
CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,
    type TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL, attributes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS health (instance TEXT PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS volumes (name TEXT PRIMARY KEY, created INTEGER NOT NULL, labels TEXT NOT NULL);
)";
constexpr auto columns =
    "id, name, settings, status, pid, pid_start, exit_code, error, created, started, finished, "
    "restarts, address, stopped";

Result<Instance> read_row(Statement& row) {
    Instance instance{.id = row.text(), .name = row.text()};
    auto settings = settings_from_text(row.text());
    if (!settings) {
        return std::unexpected(settings.error());
    }
    instance.settings = std::move(*settings);
    instance.status = static_cast<Status>(row.number());
    instance.pid = row.number();
    instance.pid_start = row.number();
    instance.exit_code = static_cast<int>(row.number());
    instance.error = row.text();
    instance.created = row.number();
    instance.started = row.number();
    instance.finished = row.number();
    instance.restarts = row.number();
    instance.address = row.text();
    instance.stopped = row.number() != 0;
    return instance;
}

} // namespace

const char* name_of(Status status) {
    switch (status) {
    case Status::created: return "created";
    case Status::running: return "running";
    case Status::paused: return "paused";
    case Status::exited: break;
    }
    return "exited";
}

std::string Instances::default_directory() {
    if (geteuid() == 0) {
        return "/var/lib/strata";
    }
    const char* data = std::getenv("XDG_DATA_HOME");
    const char* home = std::getenv("HOME");
    return (data != nullptr && *data != '\0' ? std::string(data)
                                             : std::string(home != nullptr ? home : "") + "/.local/share") +
           "/strata";
}

Result<Instances> Instances::open(const std::string& directory, std::string store) {
    for (const char* part : {"/containers", "/unfinished", "/volumes", "/run"}) {
        if (auto made = make_directories(directory + part, 0700); !made) {
            return std::unexpected(made.error());
        }
    }
    auto database = Database::open(directory + "/state.db", schema);
    if (!database) {
        return std::unexpected(database.error());
    }
    Instances instances(directory, std::move(store), std::move(*database));
    auto swept = instances.sweep();
    return swept ? Result<Instances>(std::move(instances)) : std::unexpected(swept.error());
}

std::string Instances::path(const Instance& instance, const std::string& file) const {
    return directory_ + "/containers/" + instance.id + (file.empty() ? "" : "/" + file);
}

// One whose process is gone has ended; if its monitor was killed, too, nobody wrote that down.
Result<void> Instances::settle(Instance& instance) const {
    if (!instance.alive() || is_alive(instance.pid, instance.pid_start)) {
        return {};
    }
    // While the monitor lives, it is about to tell how the process ended.
    const FileDescriptor lock(::open(path(instance, "lock").c_str(), O_RDWR | O_CLOEXEC));
    if (lock && is_owned(lock)) {
        return {};
    }
    // Only if it is still that run: another process may have written its end, or started it again, meanwhile.
    auto ended = database_.prepare("UPDATE instances SET status = ?, exit_code = ?, finished = ? "
                                   "WHERE id = ? AND status = ? AND pid = ? AND pid_start = ? RETURNING id");
    const auto changed = ended.bind(static_cast<std::int64_t>(Status::exited))
                             .bind(static_cast<std::int64_t>(killed_unseen))
                             .bind(static_cast<std::int64_t>(std::time(nullptr)))
                             .bind(instance.id)
                             .bind(static_cast<std::int64_t>(instance.status))
                             .bind(instance.pid)
                             .bind(instance.pid_start)
                             .step();
    if (!changed) {
        return std::unexpected(changed.error());
    }
    if (*changed) {
        static_cast<void>(ended.step()); // to its end, which commits it
        record_event(database_, instance, "die", {{"exitCode", std::to_string(killed_unseen)}});
    }
    auto current = database_.prepare(fmt::format("SELECT {} FROM instances WHERE id = ?", columns));
    const auto row = current.bind(instance.id).step();
    if (!row) {
        return std::unexpected(row.error());
    }
    if (!*row) {
        instance.status = Status::exited; // removed meanwhile
        return {};
    }
    auto now = read_row(current);
    if (now) {
        instance = std::move(*now);
    }
    return now ? Result<void>{} : std::unexpected(now.error());
}

// The instances of a query's rows, as they are now.
Result<std::vector<Instance>> Instances::select(Statement& rows) const {
    auto all = rows.all(read_row);
    if (!all) {
        return all;
    }
    for (auto& instance : *all) {
        if (auto settled = settle(instance); !settled) {
            return std::unexpected(settled.error());
        }
    }
    return all;
}

Result<std::vector<Instance>> Instances::list() const {
    auto rows =
        database_.prepare(fmt::format("SELECT {} FROM instances ORDER BY created DESC, rowid DESC", columns));
    return select(rows);
}

Result<Instance> Instances::find(const std::string& text) const {
    // Each by an index: there may be many. IDs are hexadecimal, so that 'g' is behind all that begin so.
    auto rows = database_.prepare(fmt::format(
        "SELECT {} FROM instances WHERE name = ? UNION SELECT {} FROM instances WHERE id >= ? AND id < ?",
        columns, columns));
    rows.bind(text).bind(text).bind(text + "g");
    auto found = select(rows);
    if (!found) {
        return std::unexpected(found.error());
    }
    const auto exact =
        std::ranges::find_if(*found, [&](const Instance& i) { return i.name == text || i.id == text; });
    if (exact == found->end() && found->size() > 1) {
        return fail(fmt::format("more than one container's ID begins with '{}'", text), "write more of it");
    }
    if (found->empty() || text.empty()) {
        return std::unexpected(
            Error{fmt::format("no container '{}'", text), "strata ps -a lists them", ENOENT});
    }
    return exact != found->end() ? *exact : found->front();
}

Result<void> Instances::remove_files(const std::string& id) const {
    image::unpin(store_, id);
    return remove_tree(directory_ + "/containers/" + id);
}

Result<void> Instances::delete_row(const std::string& id) const {
    auto deleted = database_.prepare("DELETE FROM instances WHERE id = ?").bind(id).run();
    for (const char* table : {"health", "endpoints"}) {
        deleted =
            deleted
                ? database_.prepare(fmt::format("DELETE FROM {} WHERE instance = ?", table)).bind(id).run()
                : deleted;
    }
    return deleted;
}

Result<void> Instances::remove(const Instance& instance) const {
    auto mark = UnfinishedMark::set(directory_, instance.id);
    if (!mark) {
        return std::unexpected(mark.error());
    }
    auto row = database_.prepare("SELECT id FROM instances WHERE id = ?");
    const auto was_there = row.bind(instance.id).step();
    auto removed = was_there ? delete_row(instance.id) : std::unexpected(was_there.error());
    removed = removed ? remove_files(instance.id) : removed;
    if (removed) {
        mark->clear();
        if (*was_there) { // else another process was quicker
            record_event(database_, instance, "destroy");
        }
    }
    return removed;
}

// Finishes what others who were killed have begun to make, or to remove; what resists is left to the next.
// One that is to be removed at its end, and was not started, keeps its mark: remove_abandoned() is to see it.
Result<void> Instances::sweep() const {
    for (auto& mark : UnfinishedMark::abandoned(directory_)) {
        auto row = database_.prepare(
            "SELECT status, json_extract(settings, '$.auto_remove') FROM instances WHERE id = ?");
        const auto exists = row.bind(mark.id()).step();
        if (!exists) {
            return std::unexpected(exists.error());
        }
        const bool is_unstarted = *exists && row.number() == static_cast<std::int64_t>(Status::created);
        if (*exists ? !is_unstarted || row.number() == 0 : remove_files(mark.id()).has_value()) {
            mark.clear();
        }
    }
    return {};
}

Result<void> Instances::save_state(const Instance& instance) const {
    return database_
        .prepare(
            "UPDATE instances SET status = ?, pid = ?, pid_start = ?, exit_code = ?, error = ?, started = ?, "
            "finished = ?, restarts = ?, address = ? WHERE id = ?")
        .bind(static_cast<std::int64_t>(instance.status))
        .bind(instance.pid)
        .bind(instance.pid_start)
        .bind(static_cast<std::int64_t>(instance.exit_code))
        .bind(instance.error)
        .bind(instance.started)
        .bind(instance.finished)
        .bind(instance.restarts)
        .bind(instance.address)
        .bind(instance.id)
        .run();
}

Result<void> Instances::save_settings(const Instance& instance) const {
    return database_.prepare("UPDATE instances SET settings = ? WHERE id = ?")
        .bind(to_text(instance.settings))
        .bind(instance.id)
        .run();
}

Result<void> Instances::set_stopped(const Instance& instance, bool stopped) const {
    return database_.prepare("UPDATE instances SET stopped = ? WHERE id = ?")
        .bind(static_cast<std::int64_t>(stopped ? 1 : 0))
        .bind(instance.id)
        .run();
}

} // namespace strata::instance
