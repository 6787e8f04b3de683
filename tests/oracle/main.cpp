// strata_oracle: the command.
#include "session.hpp"

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <random>
#include <string_view>

namespace {

using namespace strata;
using namespace strata::oracle;

constexpr std::string_view help = R"(strata_oracle: does the interpreter do what the processor does?

Random instructions with random state are run natively, in a child process that can do no harm, and in the
interpreter; every architecturally defined bit of registers, flags, memory and exception must agree.

  --cases N        how many cases (default 200000)
  --seed S         of the random numbers (default: a fresh one, which is printed)
  --case N         only case number N of that seed
  --filter WHAT    only cases whose first instruction is of a mnemonic ("add"), of a form ("add r32, m32"),
                   or of the forms that begin so ("vpgather*"); may be repeated
  --length N       at most N instructions in a case (default 4; the result is compared after the last)
  --mode 64|32|16  width of the code (default 64)
  --own-segments   32- and 16-bit code natively in code segments of that width, where the host has them;
                   otherwise as its 64-bit equivalent
  --translated PERCENT  fails if the engine has not translated anew in that share of the cases: then it was not
                   its translations that were judged
  --max-differences N   stop after so many (default 20)
  --coverage FILE  writes how often each form was compared, and why others were not
  --engine NAME    the engine to judge (default interpreter)
  --native-only    runs each case natively twice: is the judge sure of itself?
  --verbose        shows every case
  --list           only prints the forms that would be chosen

Examples:
  strata_oracle --filter imul --filter mul --length 1
  strata_oracle --filter 'f*' --cases 1000000 --max-differences 5
  strata_oracle --seed 0x1234 --case 17

Exit status: 0 if all agree, 1 if some differ, 2 if the test could not run.
)";

struct Arguments {
    Options options{};
    std::string coverage{};
    bool list = false, help = false;
};

template <class T>
bool parse_number(std::string_view text, T& value) {
    const bool hexadecimal = text.starts_with("0x");
    text.remove_prefix(hexadecimal ? 2 : 0);
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
    return error == std::errc{} && end == text.data() + text.size();
}

// False if `name` is no option, or its value is no good.
bool parse_option(std::string_view name, std::string_view value, Arguments& a) {
    Options& o = a.options;
    if (name == "--cases") {
        return parse_number(value, o.cases);
    }
    if (name == "--seed") {
        return parse_number(value, o.seed);
    }
    if (name == "--case") {
        return parse_number(value, o.only.emplace());
    }
    if (name == "--length") {
        return parse_number(value, o.max_instructions) && o.max_instructions >= 1 && o.max_instructions <= 4;
    }
    if (name == "--mode") {
        return parse_number(value, o.width) && (o.width == 64 || o.width == 32 || o.width == 16);
    }
    if (name == "--translated") {
        return parse_number(value, o.translated) && o.translated <= 100;
    }
    if (name == "--max-differences") {
        return parse_number(value, o.differences_shown) && o.differences_shown != 0;
    }
    if (name == "--filter") {
        o.filters.emplace_back(value);
        return true;
    }
    if (name == "--coverage") {
        a.coverage = value;
        return true;
    }
    if (name == "--engine") {
        o.engine = value;
        return true;
    }
    return false;
}

bool parse_switch(std::string_view name, Arguments& a) {
    if (name == "--native-only") {
        return a.options.native_only = true;
    }
    if (name == "--own-segments") {
        return a.options.own_segments = true;
    }
    if (name == "--verbose") {
        return a.options.verbose = true;
    }
    if (name == "--list") {
        return a.list = true;
    }
    return name == "--help" && (a.help = true);
}

Result<Arguments> parse(int argc, char** argv) {
    Arguments arguments;
    std::random_device entropy;
    arguments.options.seed = std::uint64_t{entropy()} << 32 | entropy();
    arguments.options.native_program =
        std::filesystem::read_symlink("/proc/self/exe").parent_path() / "strata_oracle_native";
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (parse_switch(name, arguments)) {
            continue;
        }
        if (i + 1 == argc || !parse_option(name, argv[i + 1], arguments)) {
            return fail(fmt::format("bad argument {}", name), "see --help");
        }
        ++i;
    }
    return arguments;
}

int report(const Error& error) {
    fmt::print(stderr, "strata_oracle: {}\n", error.message);
    if (!error.hint.empty()) {
        fmt::print(stderr, "  {}\n", error.hint);
    }
    return 2;
}

} // namespace

int main(int argc, char** argv) {
    const auto arguments = parse(argc, argv);
    if (!arguments) {
        return report(arguments.error());
    }
    if (arguments->help) {
        fmt::print("{}", help);
        return 0;
    }
    auto session = Session::create(arguments->options);
    if (!session) {
        return report(session.error());
    }
    if (arguments->list) {
        (*session)->print_forms();
        return 0;
    }
    fmt::print("seed {:#x}\n", arguments->options.seed);
    const auto agree = (*session)->run();
    if (!agree) {
        return report(agree.error());
    }
    (*session)->print_summary();
    if (!arguments->coverage.empty()) {
        if (auto written = (*session)->write_coverage(arguments->coverage); !written) {
            return report(written.error());
        }
    }
    return *agree ? 0 : 1;
}
