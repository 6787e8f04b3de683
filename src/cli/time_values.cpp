#include "cli/time_values.hpp"

#include "base/wall_clock.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <string_view>

namespace strata::cli {
namespace {

constexpr std::int64_t second = 1'000'000'000;

struct Unit {
    std::string_view name;
    std::int64_t nanoseconds;
};

constexpr std::array units{Unit{"ns", 1},           Unit{"us", 1000},       Unit{"µs", 1000},
                           Unit{"ms", 1'000'000},   Unit{"m", 60 * second}, Unit{"s", second},
                           Unit{"h", 3600 * second}};

// The number and the unit that a duration begins with, cut off; negative when there are none.
double take_part(std::string_view& text) {
    double number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc{} || number < 0 || !std::isfinite(number)) {
        return -1;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    for (const auto& unit : units) {
        if (text.starts_with(unit.name)) {
            text.remove_prefix(unit.name.size());
            return number * static_cast<double>(unit.nanoseconds);
        }
    }
    return number == 0 && text.empty() ? 0 : -1;
}

// The fraction of a second after a point, in nanoseconds, cut off.
std::int64_t take_fraction(std::string_view& text) {
    if (!text.starts_with('.') && !text.starts_with(',')) {
        return 0;
    }
    text.remove_prefix(1);
    std::int64_t value = 0, digit = second;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
        digit /= 10;
        value += digit * (text.front() - '0');
        text.remove_prefix(1);
    }
    return value;
}

// "Z", "+02:00" or nothing: seconds; false when it is something else.
bool parse_offset(std::string_view text, std::int64_t& seconds) {
    seconds = 0;
    if (text.empty() || text == "Z") {
        return true;
    }
    int hours = 0, minutes = 0;
    char end = 0;
    const std::string rest(text.substr(1));
    const bool good = (text.front() == '+' || text.front() == '-') &&
                      std::sscanf(rest.c_str(), "%2d:%2d%c", &hours, &minutes, &end) == 2;
    seconds = (hours * 3600 + minutes * 60) * (text.front() == '-' ? -1 : 1);
    return good;
}

bool parse_date(const std::string& text, std::int64_t& nanoseconds) {
    for (const char* form : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"}) {
        tm parts{};
        const char* end = strptime(text.c_str(), form, &parts);
        if (end == nullptr) {
            continue;
        }
        std::string_view rest(end);
        const auto fraction = take_fraction(rest);
        std::int64_t offset = 0;
        if (parse_offset(rest, offset)) {
            nanoseconds = (timegm(&parts) - offset) * second + fraction;
            return true;
        }
    }
    return false;
}

} // namespace

Result<std::int64_t> parse_duration(const std::string& text, const std::string& option) {
    std::string_view rest = text;
    double sum = 0;
    while (!rest.empty()) {
        const auto part = take_part(rest);
        if (part < 0) {
            sum = -1;
            break;
        }
        sum += part;
    }
    constexpr double longest = 9e18;
    if (text.empty() || sum < 0 || sum > longest) {
        return fail(fmt::format("{} {}: not a duration", option, text), "for example 30s, 1m30s or 500ms");
    }
    return static_cast<std::int64_t>(sum);
}

Result<std::int64_t> parse_time(const std::string& text, const std::string& option) {
    std::int64_t nanoseconds = 0;
    if (parse_date(text, nanoseconds)) {
        return nanoseconds;
    }
    std::int64_t seconds = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const auto fraction = take_fraction(rest);
    constexpr std::int64_t latest = 9'000'000'000;
    if (failure == std::errc{} && rest.empty() && seconds >= 0 && seconds < latest) {
        return seconds * second + fraction;
    }
    if (const auto ago = parse_duration(text, option)) {
        return nanoseconds_since_1970() - *ago;
    }
    return fail(fmt::format("{} {}: not a time", option, text),
                "for example 2024-01-31T12:00:00Z, 1706702400, or 10m for ten minutes ago");
}

std::string precise_time_text(std::int64_t nanoseconds) {
    const std::time_t time = nanoseconds / second;
    tm parts{};
    gmtime_r(&time, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%FT%T", &parts);
    return fmt::format("{}.{:09}Z", text.data(), nanoseconds % second);
}

} // namespace strata::cli
