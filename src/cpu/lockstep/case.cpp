#include "cpu/lockstep/case.hpp"

#include "base/bytes.hpp"
#include "cpu/x86/model_changes.hpp"
#include "cpu/x86/state_fields.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace strata::cpu::lockstep {
namespace {

using memory::GuestPhysical;
using memory::page_size;

constexpr std::string_view heading = "strata-case 1";
constexpr std::uint64_t most_memory = std::uint64_t{1} << 40;
constexpr std::size_t word_size = sizeof(std::uint64_t);

// ---- writing ----

std::string hexadecimal(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) {
        text += fmt::format("{:02x}", static_cast<unsigned>(byte));
    }
    return text;
}

std::string state_text(const x86::State& state) {
    std::string text;
    const x86::State usual{};
    for (const x86::StateField& field : x86::state_fields()) {
        if (const std::uint64_t value = get(state, field); value != get(usual, field)) {
            text += fmt::format("{} {:#x}\n", field.name, value);
        }
    }
    return text;
}

std::string call_text(const BusCall& call) {
    std::string text = fmt::format("call {} {} {:#x} {:#x} {} {:#x} {:#x} {:#x} {:#x} {:#x} {}\n",
                                   BusCall::names[static_cast<std::size_t>(call.kind)], call.size, call.place,
                                   call.value, call.answered ? 1 : 0, call.result, call.registers[0],
                                   call.registers[1], call.registers[2], call.registers[3], call.time);
    for (const DeviceWrite& write : call.writes) {
        text += fmt::format("wrote {:#x} {}\n", write.address, hexadecimal(write.bytes));
    }
    return text;
}

std::string page_text(GuestPhysical address, const Page& page) {
    std::string text = fmt::format("page {:#x}\n", address);
    for (std::size_t at = 0; at < page.size(); at += word_size) {
        if (const auto value = load_le<std::uint64_t>(&page[at]); value != 0) {
            text += fmt::format("{:#05x} {:#018x}\n", at, value);
        }
    }
    return text;
}

// ---- reading ----

using Words = std::vector<std::string_view>;

Words words_of(std::string_view line) {
    line = line.substr(0, line.find('#'));
    Words words;
    while (true) {
        line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
        if (line.empty()) {
            return words;
        }
        words.push_back(line.substr(0, line.find_first_of(" \t\r")));
        line.remove_prefix(words.back().size());
    }
}

std::optional<std::uint64_t> number(std::string_view text, std::uint64_t most = ~std::uint64_t{0}) {
    const int base = text.starts_with("0x") ? 16 : 10;
    text.remove_prefix(base == 16 ? 2 : 0);
    std::uint64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    const bool all = failure == std::errc{} && end == text.data() + text.size();
    return all && value <= most ? std::optional(value) : std::nullopt;
}

std::optional<std::vector<std::byte>> bytes_of(std::string_view digits) {
    std::vector<std::byte> bytes;
    for (; digits.size() >= 2; digits.remove_prefix(2)) {
        const auto byte = number("0x" + std::string(digits.substr(0, 2)));
        if (!byte) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<std::byte>(*byte));
    }
    return digits.empty() ? std::optional(std::move(bytes)) : std::nullopt;
}

class Parser {
public:
    // What is wrong with the line; empty: nothing.
    std::string take(const Words& words) {
        if (words.front() == "call") {
            return take_call(words);
        }
        if (words.front() == "wrote") {
            return take_write(words);
        }
        if (words.front().starts_with("0x")) {
            return take_word(words);
        }
        if (words.size() != 2) {
            return "it takes a name and a value";
        }
        return words[0] == "model"  ? take_model(words[1])
               : words[0] == "page" ? take_page(words[1])
                                    : take_number(words[0], words[1]);
    }

    // Everything was there.
    Result<Case> finish() {
        if (case_.model.name.empty() || case_.memory_size == 0) {
            return fail("the case names no model, or no memory");
        }
        if (case_.memory_size % page_size != 0 || case_.low_memory % page_size != 0 ||
            case_.low_memory == 0 || case_.memory_size > most_memory) {
            return fail("the case's memory is not of whole pages, or too large");
        }
        return std::move(case_);
    }

private:
    std::string take_model(std::string_view text) {
        auto model = x86::parse_model(text);
        if (!model) {
            return model.error().message;
        }
        case_.model = *model;
        return {};
    }

    std::string take_number(std::string_view name, std::string_view text) {
        const x86::StateField* field = x86::find_state_field(name);
        const auto value = number(text, field != nullptr ? field->most : ~std::uint64_t{0});
        if (!value) {
            return fmt::format("'{}' is no value of {}", text, name);
        }
        if (field != nullptr) {
            set(case_.state, *field, *value);
        } else if (name == "tsc-hz") {
            case_.tsc_hz = *value;
        } else if (name == "memory") {
            case_.memory_size = *value;
        } else if (name == "low-memory") {
            case_.low_memory = *value;
        } else if (name == "instructions") {
            case_.instructions = *value;
        } else if (name == "signals") {
            case_.stretch.pending = static_cast<std::uint32_t>(*value);
        } else if (name == "time") {
            case_.stretch.time = static_cast<Nanoseconds>(*value);
        } else {
            return fmt::format("there is nothing called '{}'", name);
        }
        return {};
    }

    std::string take_call(const Words& words) {
        if (words.size() != 12) {
            return "a call has eleven parts";
        }
        const auto kind = std::ranges::find(BusCall::names, words[1]);
        if (kind == BusCall::names.end()) {
            return fmt::format("no call is '{}'", words[1]);
        }
        std::array<std::uint64_t, 10> values{};
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto value = number(words[i + 2]);
            if (!value) {
                return fmt::format("'{}' is no number", words[i + 2]);
            }
            values[i] = *value;
        }
        BusCall call{.kind = static_cast<BusCall::Kind>(kind - BusCall::names.begin()),
                     .size = static_cast<unsigned>(values[0]),
                     .place = values[1],
                     .value = values[2],
                     .answered = values[3] != 0,
                     .result = values[4],
                     .time = static_cast<Nanoseconds>(values[9])};
        std::copy_n(values.begin() + 5, call.registers.size(), call.registers.begin());
        case_.stretch.calls.push_back(std::move(call));
        return {};
    }

    std::string take_write(const Words& words) {
        const auto address = words.size() == 3 ? number(words[1]) : std::nullopt;
        auto bytes = words.size() == 3 ? bytes_of(words[2]) : std::nullopt;
        if (!address || !bytes || case_.stretch.calls.empty()) {
            return "it takes an address and bytes, below a call";
        }
        case_.stretch.calls.back().writes.push_back({*address, std::move(*bytes)});
        return {};
    }

    std::string take_page(std::string_view text) {
        const auto address = number(text);
        if (!address || *address % page_size != 0) {
            return fmt::format("'{}' is no address of a page", text);
        }
        page_ = &case_.pages[*address];
        return {};
    }

    std::string take_word(const Words& words) {
        const auto at = number(words[0], page_size - word_size);
        const auto value = words.size() == 2 ? number(words[1]) : std::nullopt;
        if (!at || !value || page_ == nullptr) {
            return "it takes an offset and a value, below a page";
        }
        store_le(&(*page_)[*at], *value);
        return {};
    }

    Case case_;
    Page* page_ = nullptr;
};

} // namespace

Result<std::unique_ptr<memory::GuestMemory>> Case::make_memory() const {
    auto made = memory::GuestMemory::create(memory_size, low_memory);
    if (made) {
        for (const auto& [address, page] : pages) {
            if (!(*made)->write(address, page.data(), page.size())) {
                return fail(fmt::format("the page at {:#x} is not in the case's memory", address));
            }
        }
    }
    return made;
}

std::string case_text(const Case& given) {
    std::string text =
        fmt::format("{}\nmodel {}\ntsc-hz {}\nmemory {:#x}\nlow-memory {:#x}\ninstructions {}\n"
                    "signals {:#x}\ntime {}\n",
                    heading, x86::model_text(given.model), given.tsc_hz, given.memory_size, given.low_memory,
                    given.instructions, given.stretch.pending, given.stretch.time);
    text += state_text(given.state);
    for (const BusCall& call : given.stretch.calls) {
        text += call_text(call);
    }
    for (const auto& [address, page] : given.pages) {
        text += page_text(address, page);
    }
    return text;
}

Result<Case> parse_case(std::string_view text) {
    Parser parser;
    bool headed = false;
    for (std::size_t line = 1; !text.empty() || !headed; ++line) {
        const std::string_view whole = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(whole.size() + 1, text.size()));
        const Words words = words_of(whole);
        if (words.empty() && !text.empty()) {
            continue;
        }
        if (!headed) {
            if (whole.substr(0, heading.size()) != heading) {
                return fail("it does not begin with '" + std::string(heading) + "'",
                            "strata run --engine lockstep --case FILE leaves such files");
            }
            headed = true;
        } else if (const std::string wrong = parser.take(words); !wrong.empty()) {
            return fail(fmt::format("line {}: {}", line, wrong));
        }
    }
    return parser.finish();
}

} // namespace strata::cpu::lockstep
