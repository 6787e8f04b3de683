// The sections of config.json, each read by a file of its own. Errors stay in the node's reader.
#pragma once

#include "base/json_reader.hpp"
#include "container/config/config.hpp"

#include <limits>

namespace strata::container {

[[nodiscard]] Process read_process(const JsonNode& node);
[[nodiscard]] Resources read_resources(const JsonNode& node);
[[nodiscard]] Seccomp read_seccomp(const JsonNode& node);
[[nodiscard]] Hooks read_hooks(const JsonNode& node);
// Everything of "linux" but its resources and seccomp.
void read_linux(const JsonNode& node, Config& config);

[[nodiscard]] std::vector<IdMapping> read_id_mappings(const JsonNode& node);

// Text that becomes a C string or a path: a NUL in it would cut it.
[[nodiscard]] std::string read_text(const JsonNode& node);
// Absolute, if there is one.
[[nodiscard]] std::string read_absolute_path(const JsonNode& node);

template <class T>
[[nodiscard]] std::optional<T> read_number(const JsonNode& node) {
    if (!node) {
        return std::nullopt;
    }
    return static_cast<T>(node.number(std::numeric_limits<T>::max()));
}

[[nodiscard]] inline std::optional<std::int64_t> read_integer(const JsonNode& node) {
    return node ? std::optional(node.integer()) : std::nullopt;
}

// The value that a table of names has for a word, and an error that lists the names.
template <class Value, std::size_t N>
[[nodiscard]] Value read_word(const JsonNode& node, const std::pair<std::string_view, Value> (&table)[N]) {
    const std::string word = node.string();
    std::string names;
    for (const auto& [name, value] : table) {
        if (word == name) {
            return value;
        }
        names.append(names.empty() ? "" : ", ").append(name);
    }
    if (node) {
        node.refuse("is '" + word + "', not one of " + names);
    }
    return {};
}

} // namespace strata::container
