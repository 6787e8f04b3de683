#include "cli/parse.hpp"

#include "base/error.hpp"
#include "base/suggestion.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

namespace strata::cli {
namespace {

template <class T>
std::optional<T> parse_number(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(at + 1);
    }
}

std::optional<unsigned> shift_of_suffix(char suffix) {
    switch (suffix) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    case 't':
    case 'T': return 40;
    default: return std::nullopt;
    }
}

} // namespace

Result<std::uint64_t> parse_size(const std::string& text) {
    std::string_view digits = text;
    unsigned shift = 0;
    if (!digits.empty()) {
        if (const auto suffix = shift_of_suffix(digits.back())) {
            shift = *suffix;
            digits.remove_suffix(1);
        }
    }
    if (digits.empty() || digits.find_first_not_of("0123456789") != digits.npos) {
        return fail(fmt::format("'{}' is not a size", text), "write it as 512M or 2G");
    }
    const auto number = parse_number<std::uint64_t>(digits);
    if (!number || *number > (std::numeric_limits<std::uint64_t>::max() >> shift)) {
        return fail(fmt::format("size {} is too large", text), "sizes are below 16777216T");
    }
    return *number << shift;
}

Result<DiskConfig> parse_disk(const std::string& text) {
    static constexpr std::array<std::string_view, 3> disk_options{"format=raw", "format=qcow2", "readonly"};
    const auto parts = split(text, ',');
    DiskConfig disk{.path = std::string(parts.front())};
    if (disk.path.empty()) {
        return fail(fmt::format("disk '{}' names no file", text), "write it as disk.img,format=raw,readonly");
    }
    for (std::size_t i = 1; i < parts.size(); ++i) {
        constexpr std::string_view format = "format=";
        if (parts[i].starts_with(format)) {
            disk.format = parts[i].substr(format.size());
        } else if (parts[i] == "readonly") {
            disk.read_only = true;
        } else {
            return fail(fmt::format("disk {}: unknown option '{}'", disk.path, parts[i]),
                        unknown_word_hint(parts[i], disk_options, "known options"));
        }
    }
    return disk;
}

ModuleConfig parse_module(const std::string& text) {
    const auto comma = text.find(',');
    return {.path = text.substr(0, comma),
            .arguments = comma == std::string::npos ? std::string{} : text.substr(comma + 1)};
}

Result<TraceConfig> parse_trace(const std::string& text) {
    struct Row {
        std::string_view name;
        bool TraceConfig::* flag;
    };

    static constexpr Row rows[] = {{"insn", &TraceConfig::instructions},
                                   {"exceptions", &TraceConfig::exceptions},
                                   {"interrupts", &TraceConfig::interrupts},
                                   {"ports", &TraceConfig::ports}};
    TraceConfig trace;
    const auto equals = text.find('=');
    if (equals != std::string::npos) {
        trace.file = text.substr(equals + 1);
    }
    for (const auto word : split(std::string_view(text).substr(0, equals), ',')) {
        bool known = false;
        for (const Row& row : rows) {
            if (row.name == word) {
                trace.*row.flag = true;
                known = true;
            }
        }
        if (!known) {
            std::vector<std::string_view> names;
            std::ranges::transform(rows, std::back_inserter(names), &Row::name);
            return fail(fmt::format("--trace: nothing called '{}' can be traced", word),
                        unknown_word_hint(word, names, "choose from"));
        }
    }
    return trace;
}

} // namespace strata::cli
