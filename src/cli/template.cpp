#include "cli/template.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <vector>

namespace strata::cli {
namespace {

using Json = nlohmann::json;

constexpr auto forms =
    "use {{.Field}}, {{json .Field}}, {{index .Field 0}}, {{join .Field \",\"}}, {{len .Field}}, "
    "{{upper .Field}}, {{lower .Field}} or {{println .Field}}";

std::string plain(const Json& value) {
    if (value.is_string()) {
        return value.get<std::string>();
    }
    return value.is_null() ? "<no value>" : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (true) {
        const auto begin = text.find_first_not_of(' ');
        if (begin == text.npos) {
            return words;
        }
        const bool quoted = text[begin] == '"';
        const auto end = text.find(quoted ? '"' : ' ', begin + 1);
        const auto last = quoted && end != text.npos ? end + 1 : end;
        words.emplace_back(text.substr(begin, last == text.npos ? last : last - begin));
        text = last == text.npos ? std::string_view{} : text.substr(last);
    }
}

// .A.B of `values`; null where there is none.
Json look_up(std::string_view path, const Json& values) {
    const Json* value = &values;
    path.remove_prefix(1);
    while (!path.empty()) {
        const auto dot = path.find('.');
        const std::string key(path.substr(0, dot));
        if (!value->is_object() || !value->contains(key)) {
            return {};
        }
        value = &(*value)[key];
        path = dot == path.npos ? std::string_view{} : path.substr(dot + 1);
    }
    return *value;
}

// A literal in quotes, a number, or a field.
Json operand(const std::string& word, const Json& values) {
    if (word.starts_with('.')) {
        return look_up(word, values);
    }
    if (word.size() >= 2 && word.starts_with('"')) {
        return word.substr(1, word.size() - 2);
    }
    std::size_t number = 0;
    std::from_chars(word.data(), word.data() + word.size(), number);
    return number;
}

Json element(const Json& container, const Json& key) {
    if (container.is_array() && key.is_number_unsigned() && key.get<std::size_t>() < container.size()) {
        return container[key.get<std::size_t>()];
    }
    if (container.is_object() && key.is_string() && container.contains(key.get<std::string>())) {
        return container[key.get<std::string>()];
    }
    return {};
}

std::string joined(const Json& list, const Json& separator) {
    std::string text;
    for (const auto& item : list.is_array() ? list : Json::array()) {
        text += (text.empty() ? "" : plain(separator)) + plain(item);
    }
    return text;
}

std::string in_case(std::string text, int (*change)(int)) {
    std::ranges::transform(text, text.begin(),
                           [&](char c) { return static_cast<char>(change(static_cast<unsigned char>(c))); });
    return text;
}

Result<std::string> call(const std::string& name, const Json& first, const Json& second) {
    if (name == "json") {
        return first.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    if (name == "index") {
        return plain(element(first, second));
    }
    if (name == "join") {
        return joined(first, second);
    }
    if (name == "len") {
        return std::to_string(first.is_string() ? first.get_ref<const std::string&>().size() : first.size());
    }
    if (name == "println") {
        return plain(first) + "\n";
    }
    if (name == "upper" || name == "lower") {
        return in_case(plain(first), name == "upper" ? toupper : tolower);
    }
    return fail(fmt::format("--format: '{}' is not understood", name), forms);
}

Result<std::string> evaluate(std::string_view action, const Json& values) {
    const auto words = words_of(action);
    if (words.empty() || words.size() > 3) {
        return fail(fmt::format("--format: '{{{{{}}}}}' is not understood", action), forms);
    }
    if (words.size() == 1 && words[0].starts_with('.')) {
        return plain(look_up(words[0], values));
    }
    const Json first = words.size() > 1 ? operand(words[1], values) : Json();
    return call(words[0], first, words.size() > 2 ? operand(words[2], values) : Json());
}

// \t and \n, which shells pass on as they are.
std::string unescape(std::string_view text) {
    std::string plain_text;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape =
            text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == 't' || text[i + 1] == 'n');
        plain_text += !escape ? text[i] : text[++i] == 't' ? '\t' : '\n';
    }
    return plain_text;
}

} // namespace

Result<std::string> render(std::string_view format, const Json& values) {
    std::string text;
    while (true) {
        const auto begin = format.find("{{");
        text += unescape(format.substr(0, begin));
        if (begin == format.npos) {
            return text;
        }
        const auto end = format.find("}}", begin);
        if (end == format.npos) {
            return fail("--format: '{{' without '}}'", forms);
        }
        const auto value = evaluate(format.substr(begin + 2, end - begin - 2), values);
        if (!value) {
            return value;
        }
        text += *value;
        format.remove_prefix(end + 2);
    }
}

} // namespace strata::cli
