#include "instance/log.hpp"

#include "base/atomic_file.hpp"
#include "base/json_reader.hpp"

#include <ctime>
#include <deque>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <sys/stat.h>

namespace strata::instance {
namespace {

constexpr std::size_t longest_line = 16U << 10; // a longer one is written in pieces

// RFC 8259, section 7; bytes that are no UTF-8 become U+FFFD.
void escape(std::string& text, std::string_view data) {
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto c = static_cast<unsigned char>(data[i]);
        if (c == '"' || c == '\\') {
            text += '\\';
            text += data[i];
        } else if (c == '\n') {
            text += "\\n";
        } else if (c < 0x20) {
            fmt::format_to(std::back_inserter(text), "\\u{:04x}", c);
        } else if (c < 0x80) {
            text += data[i];
        } else {
            const std::size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
            const auto sequence = data.substr(i, length);
            bool good = c >= 0xC2 && c <= 0xF4 && sequence.size() == length;
            for (const char more : sequence.substr(1)) {
                good = good && (static_cast<unsigned char>(more) & 0xC0) == 0x80;
            }
            const auto second = sequence.size() > 1 ? static_cast<unsigned char>(sequence[1]) : 0;
            good = good && !(c == 0xE0 && second < 0xA0) && !(c == 0xED && second > 0x9F) &&
                   !(c == 0xF0 && second < 0x90) && !(c == 0xF4 && second > 0x8F);
            text += good ? sequence : "\xEF\xBF\xBD";
            i += good ? length - 1 : 0;
        }
    }
}

std::string now() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    tm parts{};
    gmtime_r(&time.tv_sec, &parts);
    char date[32];
    std::strftime(date, sizeof date, "%FT%T", &parts);
    return fmt::format("{}.{:09}Z", date, time.tv_nsec);
}

LogLine parse_line(const std::string& line) {
    JsonReader reader("log");
    const auto root = reader.parse(line);
    LogLine result{.text = root.find("log").string(),
                   .stream = root.find("stream").string(),
                   .time = root.find("time").string()};
    return reader.error() ? LogLine{} : result; // the last one of a monitor that was killed
}

bool in_range(const LogLine& line, const LogRange& range) {
    return !line.time.empty() && (range.since.empty() || line.time >= range.since) &&
           (range.until.empty() || line.time <= range.until);
}

} // namespace

LogWriter::LogWriter(std::string path, std::uint64_t most_bytes, std::int64_t files)
    : path_(std::move(path)), most_bytes_(most_bytes), size_(log_size(path_)), files_(files),
      file_(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}

void LogWriter::write(std::string_view stream, std::string_view data) {
    auto& line = stream == "stderr" ? error_ : output_;
    while (!data.empty()) {
        const auto end = data.find('\n');
        const auto piece = data.substr(0, end == data.npos ? end : end + 1);
        line += piece;
        data.remove_prefix(piece.size());
        if (line.back() == '\n' || line.size() >= longest_line) {
            put(stream, line);
            line.clear();
        }
    }
}

void LogWriter::flush() {
    for (auto [stream, line] : {std::pair("stdout", &output_), std::pair("stderr", &error_)}) {
        if (!line->empty()) {
            put(stream, *line);
            line->clear();
        }
    }
}

void LogWriter::put(std::string_view stream, std::string_view line) {
    std::string text = R"({"log":")";
    escape(text, line);
    text.append(R"(","stream":")").append(stream).append(R"(","time":")");
    text.append(now()).append("\"}\n");
    if (most_bytes_ > 0 && size_ > 0 && size_ + text.size() > most_bytes_) {
        rotate();
    }
    size_ += text.size();
    static_cast<void>(write_all(file_.get(), text, path_)); // a full disk must not stop the container
}

void LogWriter::rotate() {
    for (auto number = files_ - 1; number > 0; --number) {
        const auto from = number > 1 ? fmt::format("{}.{}", path_, number - 1) : path_;
        rename(from.c_str(), fmt::format("{}.{}", path_, number).c_str());
    }
    file_.reset(open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
    size_ = 0;
}

std::uint64_t log_size(const std::string& path) {
    struct stat status{};
    return stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

void read_log(const std::string& path, std::int64_t files, const LogRange& range,
              const std::function<void(const LogLine&)>& show) {
    std::deque<LogLine> kept;
    for (auto number = files - 1; number >= 0; --number) {
        std::ifstream file(number > 0 ? fmt::format("{}.{}", path, number) : path);
        for (std::string text; std::getline(file, text);) {
            auto line = parse_line(text);
            if (!in_range(line, range)) {
                continue;
            }
            if (range.last < 0) {
                show(line);
                continue;
            }
            kept.push_back(std::move(line));
            if (static_cast<std::int64_t>(kept.size()) > range.last) {
                kept.pop_front();
            }
        }
    }
    for (const auto& line : kept) {
        show(line);
    }
}

void follow_log(const std::string& path, std::uint64_t from, const std::function<bool()>& ended,
                const std::function<void(const LogLine&)>& show) {
    constexpr int pause = 100; // milliseconds
    std::string rest;
    FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    while (true) {
        const bool last = ended();
        struct stat opened{}, named{};
        const bool replaced = fstat(file.get(), &opened) == 0 && stat(path.c_str(), &named) == 0 &&
                              opened.st_ino != named.st_ino;
        char buffer[16384];
        for (ssize_t got = 0;
             (got = pread(file.get(), buffer, sizeof buffer, static_cast<off_t>(from))) > 0;) {
            from += static_cast<std::uint64_t>(got);
            rest.append(buffer, static_cast<std::size_t>(got));
            for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
                if (const auto line = parse_line(rest.substr(0, end)); !line.time.empty()) {
                    show(line);
                }
                rest.erase(0, end + 1);
            }
        }
        if (replaced || !file) { // it was put aside
            file.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
            from = 0;
        } else if (last) {
            return;
        } else {
            poll(nullptr, 0, pause);
        }
    }
}

} // namespace strata::instance
