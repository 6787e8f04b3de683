// SQLite (https://sqlite.org/c3ref): the state of instances, shared by any number of processes. Every change
// is a transaction, so a process that is killed has done all of it or nothing.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <type_traits>
#include <utility>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace strata::instance {

// A prepared statement; its parameters are given in order, its columns are read in order.
class Statement {
public:
    Statement(sqlite3* database, std::string_view sql);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    Statement& bind(std::string_view text);
    Statement& bind(std::int64_t number);

    // Whether there is a row; false at the end, an error when the statement failed.
    [[nodiscard]] Result<bool> step();
    // Runs a statement without rows.
    [[nodiscard]] Result<void> run();

    [[nodiscard]] std::string text();
    [[nodiscard]] std::int64_t number();

    // Of each row what `read`, which gives a Result, makes of it.
    template <class Read>
    [[nodiscard]] auto all(Read read) {
        using Item = std::invoke_result_t<Read, Statement&>::value_type;
        Result<std::vector<Item>> items;
        while (items) {
            const auto more = step();
            if (more && !*more) {
                break;
            }
            auto item = more ? read(*this) : std::unexpected(more.error());
            if (item) {
                items->push_back(std::move(*item));
            } else {
                items = std::unexpected(item.error());
            }
        }
        return items;
    }

private:
    [[nodiscard]] std::unexpected<Error> failure() const;

    sqlite3* database_;
    sqlite3_stmt* statement_ = nullptr;
    int parameter_ = 0, column_ = 0;
};

class Database {
public:
    // Opens the file, or makes it; waits for other processes as long as it takes.
    [[nodiscard]] static Result<Database> open(const std::string& path, const char* schema);

    [[nodiscard]] Statement prepare(std::string_view sql) const { return {connection_.get(), sql}; }

    // Does `change` whole or not at all. Processes' changes follow each other.
    [[nodiscard]] Result<void> transaction(const std::function<Result<void>()>& change) const;

    // What was written is worth little more: closing the last connection then leaves it in the log, for the
    // next process to read, and does not wait for the disk.
    void leave_in_log() const;

private:
    struct Close {
        void operator()(sqlite3* database) const;
    };

    using Connection = std::unique_ptr<sqlite3, Close>;

    explicit Database(std::string path) : path_(std::move(path)) {}

    [[nodiscard]] Result<void> connect();
    [[nodiscard]] Result<void> run(const char* sql) const;
    // One that may be run again.
    [[nodiscard]] Result<void> run_when_free(const char* sql) const;

    std::string path_;
    Connection connection_{};
};

} // namespace strata::instance
