#include "image/change.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::image {
namespace {

constexpr std::string_view blanks = " \t";

std::string_view trim(std::string_view text) {
    const auto begin = text.find_first_not_of(blanks);
    if (begin == text.npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

// Words parted by blanks; quotes and backslashes keep blanks together.
std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    char quote = 0;
    bool inside = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote != 0 ? c == quote : (c == '"' || c == '\'')) {
            quote = quote != 0 ? '\0' : c;
            inside = true;
        } else if (quote == 0 && blanks.contains(c)) {
            if (inside) {
                words.push_back(std::move(word));
            }
            word.clear();
            inside = false;
        } else {
            const bool escaped = c == '\\' && quote != '\'' && i + 1 < text.size();
            word += escaped ? text[++i] : c;
            inside = true;
        }
    }
    if (inside) {
        words.push_back(std::move(word));
    }
    return words;
}

// ["program", "argument"], or a line for a shell.
Result<std::vector<std::string>> command_of(std::string_view text) {
    if (!text.starts_with('[')) {
        return std::vector<std::string>{"/bin/sh", "-c", std::string(text)};
    }
    const auto list = Json::parse(text, nullptr, false);
    if (!list.is_array() || !std::ranges::all_of(list, [](const Json& item) { return item.is_string(); })) {
        return fail(fmt::format("'{}' is not a list of strings", text),
                    "for example: [\"sh\", \"-c\", \"date\"]");
    }
    return list.get<std::vector<std::string>>();
}

// KEY=VALUE …, or the older form KEY VALUE.
Result<std::vector<std::pair<std::string, std::string>>> pairs_of(std::string_view text) {
    const auto words = words_of(text);
    std::vector<std::pair<std::string, std::string>> pairs;
    if (!words.empty() && words[0].find('=') == std::string::npos && words.size() > 1) {
        pairs.emplace_back(words[0], trim(trim(text).substr(words[0].size())));
        return pairs;
    }
    for (const auto& word : words) {
        const auto equals = word.find('=');
        if (equals == std::string::npos || equals == 0) {
            return fail(fmt::format("'{}' is not KEY=VALUE", word));
        }
        pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return pairs;
}

void set_variable(std::vector<std::string>& environment, const std::string& key, const std::string& value) {
    std::erase_if(environment, [&](const auto& old) { return old.starts_with(key + "="); });
    environment.push_back(key + "=" + value);
}

void add_absent(std::vector<std::string>& list, std::string text) {
    if (std::ranges::find(list, text) == list.end()) {
        list.push_back(std::move(text));
    }
}

using Apply = Result<void> (*)(RunConfig&, std::string_view);

template <std::vector<std::string> RunConfig::* member>
Result<void> set_command(RunConfig& run, std::string_view text) {
    auto command = command_of(text);
    if (!command) {
        return std::unexpected(command.error());
    }
    run.*member = std::move(*command);
    return {};
}

template <std::string RunConfig::* member>
Result<void> set_text(RunConfig& run, std::string_view text) {
    run.*member = text;
    return {};
}

Result<void> add_variables(RunConfig& run, std::string_view text) {
    const auto pairs = pairs_of(text);
    if (!pairs) {
        return std::unexpected(pairs.error());
    }
    for (const auto& [key, value] : *pairs) {
        set_variable(run.environment, key, value);
    }
    return {};
}

Result<void> add_labels(RunConfig& run, std::string_view text) {
    const auto pairs = pairs_of(text);
    if (!pairs) {
        return std::unexpected(pairs.error());
    }
    for (const auto& [key, value] : *pairs) {
        run.labels[key] = value;
    }
    return {};
}

Result<void> add_ports(RunConfig& run, std::string_view text) {
    for (const auto& word : words_of(text)) {
        add_absent(run.exposed_ports, word.find('/') == std::string::npos ? word + "/tcp" : word);
    }
    return {};
}

Result<void> add_volumes(RunConfig& run, std::string_view text) {
    auto paths = text.starts_with('[') ? command_of(text) : words_of(text);
    if (!paths) {
        return std::unexpected(paths.error());
    }
    for (auto& path : *paths) {
        add_absent(run.volumes, std::move(path));
    }
    return {};
}

struct Instruction {
    std::string_view name;
    Apply apply;
};

constexpr Instruction instructions[] = {
    {"CMD", set_command<&RunConfig::command>},
    {"ENTRYPOINT", set_command<&RunConfig::entrypoint>},
    {"ENV", add_variables},
    {"EXPOSE", add_ports},
    {"LABEL", add_labels},
    {"STOPSIGNAL", set_text<&RunConfig::stop_signal>},
    {"USER", set_text<&RunConfig::user>},
    {"VOLUME", add_volumes},
    {"WORKDIR", set_text<&RunConfig::working_directory>},
};

bool equal_ignoring_case(std::string_view a, std::string_view upper) {
    return std::ranges::equal(a, upper,
                              [](char x, char y) { return (x >= 'a' && x <= 'z' ? x - 32 : x) == y; });
}

} // namespace

Result<void> apply_change(RunConfig& run, std::string_view instruction) {
    const auto text = trim(instruction);
    const auto end = text.find_first_of(blanks);
    const auto name = text.substr(0, end);
    const auto value = end == text.npos ? std::string_view{} : trim(text.substr(end));
    const auto* known = std::ranges::find_if(
        instructions, [&](const Instruction& row) { return equal_ignoring_case(name, row.name); });
    if (known == std::end(instructions) || value.empty()) {
        return fail(
            fmt::format("change '{}' is not understood", instruction),
            "use CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR, and a value");
    }
    auto applied = known->apply(run, value);
    if (!applied) {
        applied.error().message = fmt::format("change '{}': {}", instruction, applied.error().message);
    }
    return applied;
}

} // namespace strata::image
