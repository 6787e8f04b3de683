// strata completion bash: a completion script made from the command line's own definition.
#include "cli/commands.hpp"
#include "cli/usage_error.hpp"
#include "cpu/engine.hpp"
#include "cpu/x86/model.hpp"
#include "machine/boards/board.hpp"

#include <fmt/format.h>

#include <cctype>
#include <memory>
#include <string>
#include <string_view>
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

// "raw|qcow2|file:PATH" as "raw qcow2 file:".
std::string alternatives(std::string_view type) {
    std::string words;
    for (bool argument = false; const char c : type) {
        argument = c != '|' && (argument || std::isupper(static_cast<unsigned char>(c)) != 0);
        if (!argument) {
            words += c == '|' ? ' ' : c;
        }
    }
    return words;
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
    if (name == "SHELL") {
        return "bash";
    }
    if (name == "--trace") {
        return "insn exceptions interrupts ports";
    }
    if (type.starts_with("FILE") || type.starts_with("DIR")) {
        return "@files";
    }
    return type.find('|') != type.npos ? alternatives(type) : "";
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

// One line of a bash case statement that is about a command and the word behind it.
std::string branch(const std::string& command, const std::vector<std::string>& words,
                   std::string_view action) {
    std::vector<std::string> patterns;
    for (const auto& word : words) {
        patterns.push_back(fmt::format("'{} {}'", command, word));
    }
    return fmt::format("        {}) {} ;;\n", fmt::join(patterns, "|"), action);
}

// What the script knows: how words lead from command to command, and what may follow a word.
struct Cases {
    std::string steps, values, words;
};

void add_cases(const CLI::App& command, const std::string& name, Cases& cases) {
    std::vector<std::string> words, subcommands;
    for (const CLI::Option* option : command.get_options()) {
        const auto values = values_of(*option);
        if (option->get_positional()) {
            words.push_back(values);
            continue;
        }
        const auto spelled = spellings(*option);
        words.insert(words.end(), spelled.begin(), spelled.end());
        if (option->get_expected_max() != 0) {
            cases.values += branch(name, spelled, fmt::format("words='{}'", values));
        }
    }
    for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
        subcommands.push_back(sub->get_name());
        add_cases(*sub, name.empty() ? sub->get_name() : name + " " + sub->get_name(), cases);
    }
    if (!subcommands.empty()) {
        cases.steps += branch(name, subcommands, "command=${command:+$command }$word");
        words.insert(words.begin(), subcommands.begin(), subcommands.end());
    }
    cases.words += fmt::format("        '{}') words='{}' ;;\n", name, fmt::join(words, " "));
}

std::string bash_script(const CLI::App& root) {
    Cases cases;
    add_cases(root, "", cases);
    return fmt::format(R"(# bash completion for strata; made by: strata completion bash
_strata() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} at=$((COMP_CWORD - 1)) command='' words='' word
    for word in "${{COMP_WORDS[@]:1:at}}"; do
        case "$command $word" in
{}        esac
    done
    # bash makes words of their own of "=" and ":", as in --cpu=max and file:PATH.
    [[ $current == [=:] ]] && current='' && at=$COMP_CWORD
    local previous=${{COMP_WORDS[at]}}
    [[ $previous == '=' ]] && previous=${{COMP_WORDS[at - 1]}}
    case "$command $previous" in
{}        *' :') words=@files ;;
        *)
            case "$command" in
{}            esac ;;
    esac
    if [[ " $words " == *' @files '* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current"; compgen -W "${{words//@files/}}" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    fi
    [[ ${{#COMPREPLY[@]}} == 1 && ${{COMPREPLY[0]}} == *: ]] && compopt -o nospace 2>/dev/null
}}
complete -F _strata strata
)",
                       cases.steps, cases.values, cases.words);
}

} // namespace

void add_completion(CLI::App& root, Outcome& /*outcome*/) {
    auto* command = root.add_subcommand("completion", "Print a completion script for a shell");
    auto shell = std::make_shared<std::string>();
    command->add_option("SHELL", *shell, "The shell: bash")->required()->check(one_of({"bash"}));
    command->footer("Example:\n  source <(strata completion bash)");
    // The option writes to `shell` until then.
    command->callback([&root, shell] { fmt::print("{}", bash_script(root)); });
}

} // namespace strata::cli
