// What containers write, kept in files: a line of JSON for each of theirs, as Docker's "json-file" has it,
// {"log":"text\n","stream":"stdout","time":"2024-01-01T00:00:00.000000000Z"}. A file that is full is put
// aside: FILE.1 is the last before FILE.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace strata::instance {

class LogWriter {
public:
    // `most_bytes` 0: one file that grows.
    LogWriter(std::string path, std::uint64_t most_bytes, std::int64_t files);

    // What a stream ("stdout", "stderr") brought; lines are put together.
    void write(std::string_view stream, std::string_view data);
    // The lines that have no end yet.
    void flush();

private:
    void put(std::string_view stream, std::string_view line);
    void rotate();

    std::string path_;
    std::uint64_t most_bytes_, size_ = 0;
    std::int64_t files_;
    FileDescriptor file_{};
    std::string output_{}, error_{}; // unfinished lines
};

struct LogLine {
    std::string text{}, stream{}, time{};
};

struct LogRange {
    std::int64_t last = -1;       // so many lines; -1 for all
    std::string since{}, until{}; // RFC 3339, compared as text
};

// Shows the lines that are there, the oldest first.
void read_log(const std::string& path, std::int64_t files, const LogRange& range,
              const std::function<void(const LogLine&)>& show);

// Shows the lines from the end of the current file on, until `ended` says that there will be no more and all
// were shown.
void follow_log(const std::string& path, std::uint64_t from, const std::function<bool()>& ended,
                const std::function<void(const LogLine&)>& show);

[[nodiscard]] std::uint64_t log_size(const std::string& path);

} // namespace strata::instance
