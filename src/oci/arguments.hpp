// The command line of one verb: its flags are declared, and its help is made from the declarations.
#pragma once

#include "base/error.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::oci {

class Arguments {
public:
    // `synopsis` follows the program's name: "kill [OPTION...] ID [SIGNAL]".
    Arguments(std::string synopsis, std::string summary)
        : synopsis_(std::move(synopsis)), summary_(std::move(summary)) {}

    // `names` as in "--bundle,-b". A flag may be given as --flag, --flag=true and --flag=false.
    void flag(std::string_view names, bool& target, std::string_view help);
    void text(std::string_view names, std::string& target, std::string_view help);
    void number(std::string_view names, std::optional<std::int64_t>& target, std::string_view help);
    void count(std::string_view names, int& target, std::string_view help);
    // May be given several times.
    void list(std::string_view names, std::vector<std::string>& target, std::string_view help);

    // `least` to `most` words remain. Flags end at the first word if `stop_early`, else at "--".
    Result<std::vector<std::string>> parse(std::span<char* const> words, std::size_t least, std::size_t most,
                                           bool stop_early = false);

    // True after a parse that met --help, which was printed.
    [[nodiscard]] bool helped() const { return helped_; }

    // Words that were read by the last parse.
    [[nodiscard]] std::size_t used() const { return used_; }

    [[nodiscard]] std::string help() const;

private:
    struct Option {
        std::vector<std::string> names;
        std::string help;
        bool takes_value;
        std::function<bool(const std::string&)> set; // false for an unfit value
    };

    void add(std::string_view names, std::string_view help, bool takes_value,
             std::function<bool(const std::string&)> set);
    [[nodiscard]] const Option* find(std::string_view name) const;
    Result<void> parse_option(std::span<char* const> words, std::size_t& at);

    std::string synopsis_, summary_;
    std::vector<Option> options_;
    std::size_t used_ = 0;
    bool helped_ = false;
};

} // namespace strata::oci
