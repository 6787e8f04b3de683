// strata debug reduce FILE
#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/commands.hpp"
#include "cpu/lockstep/reducer.hpp"
#include "cpu/translator/host.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <string_view>

namespace strata::cli {
namespace {

namespace lockstep = cpu::lockstep;

constexpr std::uint64_t largest_file = std::uint64_t{1} << 30;

constexpr auto examples = R"(
A case is what 'strata run --engine lockstep --case FILE' leaves where the translator did something else than the
interpreter: the processor's state before, the memory that was needed, and what devices answered. It is run again on
both, without a machine, while instructions, registers and memory are left out, as long as the two still differ. What
remains is printed as a case, below comments that say what differs: it can be reduced again, and is kept as a test in
tests/cpu/cases.

Exit status: 0 reduced, 1 the two do the same here, 2 no such case.

Examples:
  strata run --kernel vmlinuz --engine lockstep --case found.case
  strata debug reduce found.case > reduced.case)";

std::string commented(std::string_view text) {
    std::string lines;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        lines += fmt::format("# {}\n", line);
    }
    return lines;
}

Result<lockstep::Case> read_case(const std::string& path) {
    const auto bytes = read_file(path, "case", largest_file);
    if (!bytes) {
        return std::unexpected(bytes.error());
    }
    auto given =
        lockstep::parse_case(std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size()));
    if (!given) {
        return fail(path + ": " + given.error().message, given.error().hint);
    }
    return given;
}

int reduce(const std::string& path) {
    const auto given = read_case(path);
    if (!given) {
        return report(given.error(), bad_argument);
    }
    if (const std::string reason = cpu::translator::unavailable(); !reason.empty()) {
        return report(
            {"the translator cannot run here: " + reason, "strata engines says what each engine needs"},
            failure);
    }
    const auto reduced = lockstep::Reducer(lockstep::make_translating_leader).reduce(*given);
    if (!reduced) {
        return report(reduced.error(), bad_argument);
    }
    if (!*reduced) {
        return report({path + ": translator and interpreter do the same",
                       "another version of Strata, or another host, may have left it"},
                      failure);
    }
    std::string comment = (*reduced)->report + "instructions, without NOPs:\n";
    for (const std::string& instruction : (*reduced)->instructions) {
        comment += "  " + instruction + "\n";
    }
    fmt::print("{}{}", commented(comment), lockstep::case_text((*reduced)->remains));
    return 0;
}

} // namespace

void add_debug_reduce(CLI::App& debug, Outcome& outcome) {
    auto* command = debug.add_subcommand("reduce", "Cut what lockstep found down to a few instructions");
    auto path = std::make_shared<std::string>();
    command->add_option("FILE", *path, "The case")->type_name("FILE")->required();
    command->footer(examples);
    command->callback([path, &outcome] { outcome.status = reduce(*path); });
}

} // namespace strata::cli
