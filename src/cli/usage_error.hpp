// What was wrong with a command line, in the words of this command.
#pragma once

#include "cli/command.hpp"

#include <initializer_list>
#include <string>
#include <string_view>

namespace strata::cli {

// "strata disk create": the command and those above it.
[[nodiscard]] std::string full_name(const CLI::App& app);

// The error behind CLI11's exception: a word or an option that is not known, with what may have been meant; a
// value that is missing, of the wrong kind, or given twice.
[[nodiscard]] Error usage_error(const CLI::App& root, const CLI::ParseError& error);

// Checks that an option's value is one of these words.
[[nodiscard]] CLI::Validator one_of(std::initializer_list<std::string_view> words);

// A word that no option and no subcommand took.
[[nodiscard]] Error unexpected_word(const std::string& word, const CLI::App& command);

} // namespace strata::cli
