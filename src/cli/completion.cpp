// strata completion bash: a completion script made from the command line's own definition.
#include "cli/command.hpp"
#include "cpu/engine.hpp"
#include "cpu/x86/model.hpp"
#include "machine/boards/board.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

namespace strata::cli {
namespace {

template <class Items>
std::string names(const Items& items) {
    std::string text;
    for (const auto& item : items) {
        text.append(text.empty() ? "" : " ").append(item.name);
    }
    return text;
}

// The words that may follow an option; "@files" for a file's name; empty for anything.
std::string values_of(const CLI::Option& option) {
    const std::string type = option.get_type_name();
    const std::string name = option.get_name();
    if (name == "--cpu" || name == "MODEL") {
        return names(cpu::x86::models());
    }
    if (name == "--engine") {
        return "auto " + names(cpu::engines());
    }
    if (name == "--board") {
        return names(machine::boards());
    }
    if (name == "--net") {
        return "user none";
    }
    return type.starts_with("FILE") ? "@files" : "";
}

std::vector<std::string> spellings(const CLI::Option& option) {
    std::vector<std::string> all;
    for (const auto& name : option.get_snames()) {
        all.push_back("-" + name);
    }
    for (const auto& name : option.get_lnames()) {
        all.push_back("--" + name);
    }
    return all;
}

const auto every = [](const CLI::App*) { return true; };

// What may be written anywhere behind the subcommand.
std::string words_of(const CLI::App& command) {
    std::vector<std::string> words;
    for (const CLI::App* sub : command.get_subcommands(every)) {
        words.push_back(sub->get_name());
    }
    for (const CLI::Option* option : command.get_options()) {
        const auto names = option->get_positional() ? std::vector{values_of(*option)} : spellings(*option);
        words.insert(words.end(), names.begin(), names.end());
    }
    return fmt::format("{}", fmt::join(words, " "));
}

// One case a subcommand, and one an option that takes a value.
std::string cases_of(const CLI::App& root) {
    std::string cases;
    for (const CLI::App* command : root.get_subcommands(every)) {
        const auto& name = command->get_name();
        for (const CLI::Option* option : command->get_options()) {
            if (option->get_positional() || option->get_expected_max() == 0) {
                continue;
            }
            std::vector<std::string> patterns;
            for (const auto& spelling : spellings(*option)) {
                patterns.push_back(fmt::format("'{} {}'", name, spelling));
            }
            cases += fmt::format("        {}) words='{}' ;;\n", fmt::join(patterns, "|"), values_of(*option));
        }
        cases += fmt::format("        '{} '*) words='{}' ;;\n", name, words_of(*command));
    }
    return cases;
}

std::string bash_script(const CLI::App& root) {
    std::vector<std::string> commands;
    for (const CLI::App* command : root.get_subcommands(every)) {
        commands.push_back(command->get_name());
    }
    return fmt::format(R"(# bash completion for strata; made by: strata completion bash
_strata() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} words='{}'
    if ((COMP_CWORD > 1)); then
        case "${{COMP_WORDS[1]}} $previous" in
{}        *) words= ;;
        esac
    fi
    if [[ $words == @files ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    fi
}}
complete -F _strata strata
)",
                       fmt::join(commands, " "), cases_of(root));
}

} // namespace

void add_completion(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("completion", "Print a completion script for a shell");
    auto shell = std::make_shared<std::string>();
    command->add_option("SHELL", *shell, "The shell: bash")->required()->check(CLI::IsMember({"bash"}));
    command->footer("Example:\n  source <(strata completion bash)");
    command->callback([&root] { fmt::print("{}", bash_script(root)); });
}

} // namespace strata::cli
