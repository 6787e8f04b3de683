#include "instance/rootless/subordinate_ids.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace strata::instance {
namespace {

// What is before `separator`, which is cut off with it.
std::string_view cut(std::string_view& text, char separator) {
    const auto end = std::min(text.find(separator), text.size());
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

std::optional<std::uint32_t> number_in(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = failure == std::errc{} && end == text.data() + text.size();
    return whole ? std::optional(number) : std::nullopt;
}

} // namespace

std::vector<container::IdMapping> own_id_map(std::string_view text, std::string_view user,
                                             std::uint32_t own) {
    std::vector<container::IdMapping> map{{.container_id = 0, .host_id = own, .size = 1}};
    std::uint32_t next = 1;
    while (!text.empty()) {
        auto line = cut(text, '\n');
        const auto name = cut(line, ':');
        const auto first = number_in(cut(line, ':')), count = number_in(line);
        const bool granted = name == user || name == std::to_string(own);
        if (granted && first && count && *count > 0 && *count <= UINT32_MAX - next) {
            map.push_back({.container_id = next, .host_id = *first, .size = *count});
            next += *count;
        }
    }
    return map;
}

} // namespace strata::instance
