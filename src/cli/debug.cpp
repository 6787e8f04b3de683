// strata debug: looks inside, for those who work on Strata itself.
#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/commands.hpp"
#include "cpu/translator/host.hpp"
#include "cpu/translator/listing.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace strata::cli {
namespace {

using cpu::translator::ListedInstruction;

struct Options {
    std::vector<std::string> words;
    std::string file;
    std::string address = "0x401000";
    bool user = false;
    unsigned mode = 64;
};

constexpr auto examples = R"(
Guest code lies in one page; 32-bit code has flat segments, as all but the oldest systems have. Left is the guest's instruction, right what runs on the host for it.
There rSP is the address of the processor's state, guest rCX is in R13 and guest rSP in R12; region0 is the run of
memory that the first access found last time, "later" what is seldom run; ".." are bytes that change from build
to build. docs/translator.md walks through one.

Examples:
  strata debug translate b8 01 00 00 00 5b c3
  strata debug translate --user 488b07 4883c708 4839f7 75f4
  strata debug translate --mode 32 55 89e5 ff7508
  strata debug translate --file code.bin --address 0xffffffff81000000)";

Result<std::uint64_t> parse_address(const std::string& text) {
    const std::string_view digits = std::string_view(text).substr(text.starts_with("0x") ? 2 : 0);
    std::uint64_t address = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), address, 16);
    if (failure != std::errc{} || end != digits.data() + digits.size()) {
        return fail(fmt::format("--address: '{}' is not a hexadecimal number", text), "for example 0x401000");
    }
    return address;
}

Result<std::vector<std::uint8_t>> parse_bytes(const std::vector<std::string>& words) {
    std::vector<std::uint8_t> bytes;
    for (const std::string& word : words) {
        for (std::size_t at = 0; at < word.size(); at += 2) {
            std::uint8_t byte = 0;
            const auto end = word.data() + std::min(at + 2, word.size());
            if (const auto [rest, failure] = std::from_chars(word.data() + at, end, byte, 16);
                word.size() % 2 != 0 || failure != std::errc{} || rest != end) {
                return fail(fmt::format("'{}' is not code in hexadecimal", word),
                            "two digits a byte: strata debug translate 48 89 d8");
            }
            bytes.push_back(byte);
        }
    }
    return bytes;
}

Result<std::vector<std::uint8_t>> code_of(const Options& options) {
    if (options.file.empty()) {
        return parse_bytes(options.words);
    }
    const auto read = read_file(options.file, "code", memory::page_size);
    if (!read) {
        return std::unexpected(read.error());
    }
    const auto* first = reinterpret_cast<const std::uint8_t*>(read->data());
    return std::vector<std::uint8_t>(first, first + read->size());
}

std::string bytes_of(const ListedInstruction::Host& host) {
    std::string text;
    for (std::size_t i = 0; i < host.bytes.size(); ++i) {
        const bool distance =
            i >= host.distance_at && i < std::size_t{host.distance_at} + host.distance_bytes;
        text += (i == 0 ? "" : " ") + (distance ? std::string("..") : fmt::format("{:02x}", host.bytes[i]));
    }
    return text;
}

void print(const std::vector<ListedInstruction>& listed) {
    for (const ListedInstruction& instruction : listed) {
        std::string guest =
            fmt::format("{:x}  {:<20} {}", instruction.address,
                        fmt::format("{:02x}", fmt::join(instruction.bytes, " ")), instruction.text);
        for (const ListedInstruction::Host& host : instruction.host) {
            fmt::print("{:<56} | {:<31} {}\n", std::exchange(guest, {}), bytes_of(host), host.text);
        }
        if (!guest.empty()) {
            fmt::print("{:<56} |\n", guest); // the next one does its work, too
        }
    }
}

int translate(const Options& options) {
    const auto address = parse_address(options.address);
    const auto code = address ? code_of(options) : std::unexpected(address.error());
    if (!code) {
        return report(code.error(), bad_argument);
    }
    if (code->empty()) {
        return report({"no code to translate", "give bytes, or --file; see strata debug translate --help"},
                      bad_argument);
    }
    if (*address % memory::page_size + code->size() > memory::page_size) {
        return report({fmt::format("{} bytes at {:#x} reach into another page", code->size(), *address),
                       "the translator, too, goes no further than a page of 4096 bytes"},
                      bad_argument);
    }
    if (const std::string reason = cpu::translator::unavailable(); !reason.empty()) {
        return report(
            {"the translator cannot run here: " + reason, "strata engines says what each engine needs"},
            failure);
    }
    const cpu::x86::Model& host = cpu::translator::host_model();
    cpu::translator::Listing listing(*cpu::x86::find_model("max").value(), host);
    print(listing.translate(*code, *address, {.user = options.user, .narrow = options.mode == 32}));
    return 0;
}

} // namespace

void add_debug(CLI::App& root, Outcome& outcome) {
    auto* debug = root.add_subcommand("debug", "Look inside Strata");
    debug->require_subcommand(1);
    debug->footer("Examples:\n  strata debug translate 48 89 d8\n  strata debug reduce found.case");
    auto* command = debug->add_subcommand("translate", "Show what the translator makes of guest code");
    auto options = std::make_shared<Options>();
    command->add_option("BYTE", options->words, "Guest code in hexadecimal");
    command->add_option("--file", options->file, "Read the code, as it is in memory, from a file")
        ->type_name("FILE")
        ->excludes("BYTE");
    command->add_option("--address", options->address, "Where the code is, linear")
        ->type_name("ADDRESS")
        ->capture_default_str();
    command->add_option("--mode", options->mode, "Bits of the code's mode: 64 or 32")
        ->type_name("BITS")
        ->capture_default_str()
        ->check(CLI::IsMember({64U, 32U}));
    command->add_flag("--user", options->user, "It is a program's, at privilege 3; else a kernel's");
    command->footer(examples);
    command->callback([options, &outcome] { outcome.status = translate(*options); });
    add_debug_reduce(*debug, outcome);
}

} // namespace strata::cli
