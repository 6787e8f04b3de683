#include "instance/database.hpp"

#include <chrono>
#include <fmt/format.h>
#include <sqlite3.h>
#include <thread>
#include <unistd.h>

namespace strata::instance {
namespace {

constexpr int patience = 60'000; // milliseconds for others' transactions, which take a few

} // namespace

Statement::Statement(sqlite3* database, std::string_view sql) : database_(database) {
    sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
}

Statement::~Statement() { sqlite3_finalize(statement_); }

std::unexpected<Error> Statement::failure() const {
    return fail(fmt::format("state of the containers: {}", sqlite3_errmsg(database_)));
}

Statement& Statement::bind(std::string_view text) {
    sqlite3_bind_text(statement_, ++parameter_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
}

Statement& Statement::bind(std::int64_t number) {
    sqlite3_bind_int64(statement_, ++parameter_, number);
    return *this;
}

Result<bool> Statement::step() {
    if (statement_ == nullptr) {
        return failure();
    }
    column_ = 0;
    const int status = sqlite3_step(statement_);
    if (status != SQLITE_ROW && status != SQLITE_DONE) {
        return failure();
    }
    return status == SQLITE_ROW;
}

Result<void> Statement::run() {
    if (auto done = step(); !done) {
        return std::unexpected(done.error());
    }
    return {};
}

std::string Statement::text() {
    const int column = column_++;
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return data == nullptr
               ? ""
               : std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

std::int64_t Statement::number() { return sqlite3_column_int64(statement_, column_++); }

void Database::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

Result<void> Database::run(const char* sql) const {
    char* message = nullptr;
    if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, &message) != SQLITE_OK) {
        auto error =
            fail(fmt::format("state of the containers: {}", message != nullptr ? message : "failed"));
        sqlite3_free(message);
        return error;
    }
    return {};
}

// SQLite waits for others by itself but where that could be for ever: if several change the journal's mode,
// or write what they have read before. As commands that find no state do at the same moment: each begins
// anew.
Result<void> Database::run_when_free(const char* sql) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience);
    while (true) {
        auto done = run(sql);
        if (done || (sqlite3_errcode(connection_.get()) & 0xFF) != SQLITE_BUSY ||
            std::chrono::steady_clock::now() >= end) {
            return done;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

Result<void> Database::connect() {
    sqlite3* handle = nullptr;
    const int status = sqlite3_open_v2(
        path_.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    connection_.reset(handle);
    if (status != SQLITE_OK) {
        return fail(fmt::format("state of the containers {}: {}", path_, sqlite3_errmsg(handle)));
    }
    sqlite3_busy_timeout(handle, patience);
    auto done = run_when_free("PRAGMA journal_mode=WAL");
    // A log that was left is read again by the next process alone: it stays short, in pages.
    return done ? run("PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=128") : done;
}

Result<Database> Database::open(const std::string& path, const char* schema) {
    Database database(path);
    auto done = database.connect();
    done = done ? database.run_when_free(schema) : done;
    return done ? Result<Database>(std::move(database)) : std::unexpected(done.error());
}

void Database::leave_in_log() const {
    sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Result<void> Database::transaction(const std::function<Result<void>()>& change) const {
    if (auto begun = run("BEGIN IMMEDIATE"); !begun) {
        return begun;
    }
    auto done = change();
    done = done ? run("COMMIT") : done;
    if (!done) {
        static_cast<void>(run("ROLLBACK"));
    }
    return done;
}

} // namespace strata::instance
