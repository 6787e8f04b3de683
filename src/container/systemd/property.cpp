#include "container/systemd/property.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace strata::container {
namespace {

constexpr std::pair<std::string_view, char> basic_types[] = {
    {"boolean", 'b'}, {"byte", 'y'},       {"int16", 'n'},    {"uint16", 'q'},
    {"int32", 'i'},   {"uint32", 'u'},     {"int64", 'x'},    {"uint64", 't'},
    {"double", 'd'},  {"objectpath", 'o'}, {"signature", 'g'}};

struct Value {
    std::string signature;
    std::vector<std::string> words{};
};

// GVariant's text format without what no property has: maybes, dictionaries, byte strings.
class VariantReader {
public:
    explicit VariantReader(std::string_view text) : text_(text) {}

    std::optional<Value> read() {
        auto value = read_value("");
        skip_blanks();
        return at_ == text_.size() ? value : std::nullopt;
    }

private:
    // `expected` is the signature that was announced, if any.
    std::optional<Value> read_value(std::string_view expected);
    std::optional<Value> read_any(std::string_view expected);
    std::optional<Value> read_array(std::string_view expected);
    std::optional<Value> read_tuple();
    std::optional<Value> read_text(std::string_view expected);
    std::optional<Value> read_word(std::string_view expected);

    void skip_blanks() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) {
            ++at_;
        }
    }

    bool take(char wanted) {
        skip_blanks();
        const bool there = at_ < text_.size() && text_[at_] == wanted;
        at_ += there ? 1 : 0;
        return there;
    }

    std::string_view take_until(std::string_view ends) {
        const auto end = std::min(text_.find_first_of(ends, at_), text_.size());
        return text_.substr(std::exchange(at_, end), end - at_);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    int depth_ = 0;
};

bool is_whole(std::string_view text, char type) {
    if (text.starts_with('+')) {
        text.remove_prefix(1);
    }
    const char* end = text.data() + text.size();
    const bool is_signed = std::string_view("nix").contains(type);
    std::int64_t signed_value = 0;
    std::uint64_t unsigned_value = 0;
    const auto read = is_signed ? std::from_chars(text.data(), end, signed_value)
                                : std::from_chars(text.data(), end, unsigned_value);
    return read.ec == std::errc{} && read.ptr == end;
}

std::optional<double> read_double(std::string_view text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    return read.ec == std::errc{} && read.ptr == end ? std::optional(value) : std::nullopt;
}

std::optional<Value> VariantReader::read_value(std::string_view expected) {
    constexpr int deepest = 32; // as in D-Bus
    if (depth_ == deepest) {
        return std::nullopt;
    }
    ++depth_;
    auto value = read_any(expected);
    --depth_;
    return value;
}

std::optional<Value> VariantReader::read_any(std::string_view expected) {
    skip_blanks();
    if (at_ == text_.size()) {
        return std::nullopt;
    }
    switch (text_[at_]) {
    case '@': ++at_; return read_value(take_until(" \t\n"));
    case '[': return read_array(expected);
    case '(': return read_tuple();
    case '\'':
    case '"': return read_text(expected);
    default: return read_word(expected);
    }
}

std::optional<Value> VariantReader::read_array(std::string_view expected) {
    ++at_;
    if (!expected.empty() && expected.front() != 'a') {
        return std::nullopt;
    }
    std::string element(expected.empty() ? "" : expected.substr(1));
    std::vector<std::string> words;
    std::size_t count = 0;
    while (!take(']')) {
        if (count > 0 && !take(',')) {
            return std::nullopt;
        }
        const auto value = read_value(element);
        if (!value || (!element.empty() && value->signature != element)) {
            return std::nullopt;
        }
        element = value->signature;
        words.insert(words.end(), value->words.begin(), value->words.end());
        ++count;
    }
    if (element.empty()) {
        return std::nullopt; // of what type would it be?
    }
    words.insert(words.begin(), std::to_string(count));
    return Value{"a" + element, std::move(words)};
}

std::optional<Value> VariantReader::read_tuple() {
    ++at_;
    Value tuple{"("};
    for (bool first = true; !take(')'); first = false) {
        if (!first && !take(',')) {
            return std::nullopt;
        }
        const auto value = read_value("");
        if (!value) {
            return std::nullopt;
        }
        tuple.signature += value->signature;
        tuple.words.insert(tuple.words.end(), value->words.begin(), value->words.end());
    }
    tuple.signature += ")";
    return tuple.words.empty() ? std::nullopt : std::optional(std::move(tuple));
}

std::optional<Value> VariantReader::read_text(std::string_view expected) {
    const char quote = text_[at_++];
    std::string text;
    while (at_ < text_.size() && text_[at_] != quote) {
        char letter = text_[at_++];
        if (letter == '\\' && at_ < text_.size()) {
            letter = text_[at_++];
            letter = letter == 'n' ? '\n' : letter == 't' ? '\t' : letter;
        }
        text += letter;
    }
    const bool is_text = expected.empty() || expected == "s" || expected == "o" || expected == "g";
    if (!is_text || !take(quote)) {
        return std::nullopt;
    }
    return Value{expected.empty() ? "s" : std::string(expected), {text}};
}

// true, a number, or the name of a type before its value.
std::optional<Value> VariantReader::read_word(std::string_view expected) {
    const auto word = take_until(" \t\n,])'\"");
    const auto* const named = std::ranges::find(basic_types, word, &std::pair<std::string_view, char>::first);
    if (named != std::end(basic_types)) {
        return read_value(std::string(1, named->second));
    }
    if (word == "string") {
        return read_value("s");
    }
    if (word == "true" || word == "false") {
        return expected.empty() || expected == "b" ? std::optional(Value{"b", {std::string(word)}})
                                                   : std::nullopt;
    }
    const bool fraction = word.find_first_of(".e") != std::string_view::npos;
    const std::string type(!expected.empty() ? expected : fraction ? "d" : "i");
    const bool number = type == "d"                                  ? read_double(word).has_value()
                        : std::string_view("ynqiuxt").contains(type) ? is_whole(word, type.front())
                                                                     : false;
    return number ? std::optional(Value{type, {std::string(word)}}) : std::nullopt;
}

bool is_name(std::string_view name) {
    return name.size() >= 3 &&
           std::ranges::all_of(name, [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; });
}

// "TimeoutStopSec", and not "TimeoutStopUSec".
bool is_in_seconds(std::string_view name) {
    constexpr std::string_view suffix = "Sec";
    return name.size() > suffix.size() && name.ends_with(suffix) &&
           std::islower(static_cast<unsigned char>(name[name.size() - suffix.size() - 1])) != 0;
}

} // namespace

UnitProperty flag_property(std::string name, bool value) {
    return {std::move(name), "b", {value ? "true" : "false"}};
}

UnitProperty number_property(std::string name, std::uint64_t value) {
    return {std::move(name), "t", {std::to_string(value)}};
}

UnitProperty text_property(std::string name, std::string value) {
    return {std::move(name), "s", {std::move(value)}};
}

Result<UnitProperty> parse_property(std::string_view name, std::string_view text) {
    const auto refuse = [&](const std::string& why, const std::string& hint) {
        return fail("config.json: annotation org.systemd.property." + std::string(name) + ": " + why, hint);
    };
    if (!is_name(name)) {
        return refuse("this cannot be the name of a property", "as in org.systemd.property.TimeoutStopSec");
    }
    const auto value = VariantReader(text).read();
    if (!value) {
        return refuse("'" + std::string(text) + "' is not a value in GVariant's text format",
                      "as in uint64 5, 'text', ['a', 'b'] or @as []");
    }
    UnitProperty property{std::string(name), value->signature, value->words};
    if (!is_in_seconds(name)) {
        return property;
    }
    const auto seconds = property.signature == "s" ? std::nullopt : read_double(property.words.front());
    if (!seconds || *seconds < 0 || property.signature.size() != 1) {
        return refuse("'" + std::string(text) + "' is not a number of seconds", "");
    }
    constexpr double microseconds = 1e6;
    property.name.insert(property.name.size() - 3, "U");
    property.signature = "t";
    property.words = {std::to_string(std::llround(*seconds * microseconds))};
    return property;
}

} // namespace strata::container
