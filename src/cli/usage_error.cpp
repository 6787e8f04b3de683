#include "cli/usage_error.hpp"

#include "base/suggestion.hpp"

#include <CLI/Error.hpp>
#include <fmt/format.h>
#include <vector>

namespace strata::cli {
namespace {

const auto every_command = [](const CLI::App*) { return true; };
const auto every_option = [](const CLI::Option*) { return true; };

// The deepest subcommand that was named: where --help tells about what went wrong.
const CLI::App& named_command(const CLI::App& app) {
    const auto parsed = app.get_subcommands();
    return parsed.empty() ? app : named_command(*parsed.front());
}

std::string see_help(const CLI::App& command) { return "see " + full_name(command) + " --help"; }

Error unknown(std::string_view what, std::string_view word, const std::vector<std::string>& known,
              const CLI::App& command) {
    const std::vector<std::string_view> views(known.begin(), known.end());
    const auto nearest = nearest_word(word, views);
    return {fmt::format("unknown {} '{}'", what, word),
            (nearest.empty() ? "" : fmt::format("did you mean '{}'? ", nearest)) + see_help(command)};
}

// An option that takes one value and was given more.
const CLI::Option* repeated_option(const CLI::App& command) {
    for (const CLI::Option* option : command.get_options(every_option)) {
        if (option->get_expected_max() == 1 && option->results().size() > 1) {
            return option;
        }
    }
    return nullptr;
}

// What stands between two marks of CLI11's message.
std::string between(const std::string& text, std::string_view from, std::string_view to) {
    const auto begin = text.find(from) + from.size();
    return text.substr(begin, text.find(to, begin) - begin);
}

} // namespace

Error unexpected_word(const std::string& word, const CLI::App& command) {
    std::vector<std::string> known;
    if (word.starts_with('-')) {
        for (const CLI::Option* option : command.get_options(every_option)) {
            for (const auto& name : option->get_lnames()) {
                known.push_back("--" + name);
            }
        }
        return unknown("option", word.substr(0, word.find('=')), known, command);
    }
    for (const CLI::App* sub : command.get_subcommands(every_command)) {
        known.push_back(sub->get_name());
    }
    if (!known.empty()) {
        return unknown("command", word, known, command);
    }
    return {fmt::format("'{}' is one word too many", word), see_help(command)};
}

std::string full_name(const CLI::App& app) {
    return app.get_parent() == nullptr ? "strata" : full_name(*app.get_parent()) + " " + app.get_name();
}

Error usage_error(const CLI::App& root, const CLI::ParseError& error) {
    const CLI::App& command = named_command(root);
    const std::string text = error.what();
    const auto extra = command.remaining();
    // Asked first: a mistyped option is also a required one that is missing.
    if (!extra.empty()) {
        return unexpected_word(extra.front(), command);
    }
    if (const auto* option = repeated_option(command)) {
        return {option->get_name() + " is given more than once", see_help(command)};
    }
    if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
        return {fmt::format("{}: '{}' is not a number that fits", between(text, "convert: ", " = "),
                            between(text, " = ", "\n")),
                see_help(command)};
    }
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
        return {text.substr(0, text.find(':')) + " needs a value", see_help(command)};
    }
    if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
        command.get_subcommands(every_command).size() > 0) {
        return {"a command is missing", see_help(command)};
    }
    const auto line = text.find('\n'); // one_of() puts its hint on a second line
    return {text.substr(0, line), line == text.npos ? see_help(command) : text.substr(line + 1)};
}

CLI::Validator one_of(std::initializer_list<std::string_view> words) {
    const std::vector<std::string_view> known(words);
    return {[known](const std::string& value) {
                for (const auto word : known) {
                    if (value == word) {
                        return std::string{};
                    }
                }
                return fmt::format("'{}' is not possible\n{}", value,
                                   unknown_word_hint(value, known, "choose from"));
            },
            ""};
}

} // namespace strata::cli
