#include "image/registry/challenge.hpp"

#include <algorithm>

namespace strata::image {
namespace {

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return result;
}

void skip(std::string_view& text, std::string_view what) {
    const auto end = text.find_first_not_of(what);
    text.remove_prefix(end == text.npos ? text.size() : end);
}

std::string take_until(std::string_view& text, std::string_view ends) {
    const auto end = std::min(text.find_first_of(ends), text.size());
    std::string taken(text.substr(0, end));
    text.remove_prefix(end);
    return taken;
}

// The inside of a quoted string, from which the opening quote is taken already.
std::string take_quoted(std::string_view& text) {
    std::string taken;
    while (!text.empty() && text.front() != '"') {
        if (text.front() == '\\' && text.size() > 1) {
            text.remove_prefix(1);
        }
        taken += text.front();
        text.remove_prefix(1);
    }
    text.remove_prefix(text.empty() ? 0 : 1);
    return taken;
}

} // namespace

Challenge Challenge::parse(std::string_view header) {
    Challenge challenge;
    skip(header, " ");
    challenge.scheme = lower(take_until(header, " "));
    while (true) {
        skip(header, " ,\t");
        if (header.empty()) {
            return challenge;
        }
        const auto name = lower(take_until(header, "= ,"));
        skip(header, " ");
        std::string value;
        if (header.starts_with('=')) {
            header.remove_prefix(1);
            skip(header, " ");
            if (header.starts_with('"')) {
                header.remove_prefix(1);
                value = take_quoted(header);
            } else {
                value = take_until(header, " ,");
            }
        }
        challenge.parameters[name] = value;
    }
}

} // namespace strata::image
