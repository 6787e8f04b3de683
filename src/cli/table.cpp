#include "cli/table.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <fmt/format.h>

namespace strata::cli {

void Table::print() const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], row[i].size());
        }
    }
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const bool last = i + 1 == row.size();
            line += last ? row[i] : fmt::format("{:{}}   ", row[i], widths[i]);
        }
        fmt::print("{}\n", line);
    }
}

std::string human_size(std::uint64_t bytes) {
    constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1000 && unit + 1 < units.size(); ++unit) {
        value /= 1000;
    }
    return fmt::format("{:.3g}{}", value, units[unit]);
}

namespace {

struct Unit {
    std::int64_t seconds;
    const char *one, *many;
};

constexpr std::array units{Unit{31'536'000, "12 months", "years"}, Unit{2'592'000, "4 weeks", "months"},
                           Unit{604'800, "7 days", "weeks"},       Unit{86'400, "24 hours", "days"},
                           Unit{3'600, "About an hour", "hours"},  Unit{60, "About a minute", "minutes"}};

std::string span_of(std::int64_t seconds) {
    for (const auto& unit : units) {
        if (const auto count = seconds / unit.seconds; count > 0) {
            return count == 1 ? unit.one : fmt::format("{} {}", count, unit.many);
        }
    }
    return seconds < 1 ? "Less than a second" : fmt::format("{} second{}", seconds, seconds == 1 ? "" : "s");
}

} // namespace

std::string human_age(const std::string& time) {
    tm parts{};
    if (strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) {
        return "N/A";
    }
    return span_of(std::max<std::int64_t>(0, std::time(nullptr) - timegm(&parts))) + " ago";
}

} // namespace strata::cli
