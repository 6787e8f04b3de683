#include "image/reference.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace strata::image {
namespace {

constexpr std::size_t longest_name = 255, longest_tag = 128;
constexpr std::string_view official = "library/"; // where Docker Hub keeps images of one word
constexpr auto form = "an image is named [REGISTRY/]REPOSITORY[:TAG][@DIGEST], for example debian:12 or "
                      "quay.io/team/app:1.0";

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

// What may stand between two words of a path component: one period, one or two underscores, or hyphens.
bool is_separator(std::string_view text) {
    return text == "." || text == "_" || text == "__" ||
           text.find_first_not_of('-') == std::string_view::npos;
}

bool is_component(std::string_view text) {
    if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) {
        return false;
    }
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::find_if(text.begin() + at, text.end(), is_lower_alnum) - text.begin();
        const auto separator = text.substr(at, end - at);
        if (!separator.empty() && !is_separator(separator)) {
            return false;
        }
        at = std::find_if_not(text.begin() + end, text.end(), is_lower_alnum) - text.begin();
    }
    return true;
}

bool is_repository(std::string_view text) {
    while (true) {
        const auto slash = text.find('/');
        if (!is_component(text.substr(0, slash))) {
            return false;
        }
        if (slash == std::string_view::npos) {
            return true;
        }
        text.remove_prefix(slash + 1);
    }
}

bool is_tag(std::string_view text) {
    return !text.empty() && text.size() <= longest_tag && (is_alnum(text.front()) || text.front() == '_') &&
           std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 &&
           std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_host(std::string_view text) {
    if (text.starts_with('[')) { // an IPv6 address
        return text.size() > 2 && text.ends_with(']') &&
               text.substr(1, text.size() - 2).find_first_not_of("0123456789abcdefABCDEF:.") ==
                   std::string_view::npos;
    }
    return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
           std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-' || c == '.'; });
}

bool is_registry(std::string_view text) {
    const auto bracket = text.rfind(']');
    const auto colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    return is_host(text.substr(0, colon)) &&
           (colon == std::string_view::npos || is_port(text.substr(colon + 1)));
}

std::unexpected<Error> bad_reference(std::string_view text, std::string_view why) {
    return fail(fmt::format("image name '{}': {}", text.substr(0, 300), why), form);
}

// Splits the tag and the digest off `rest`.
Result<void> take_version(std::string_view whole, std::string_view& rest, Reference& reference) {
    if (const auto at = rest.find('@'); at != std::string_view::npos) {
        auto digest = Digest::parse(rest.substr(at + 1));
        if (!digest) {
            return bad_reference(whole, digest.error().message);
        }
        reference.digest = std::move(*digest);
        rest = rest.substr(0, at);
    }
    const auto slash = rest.rfind('/');
    if (const auto colon = rest.find(':', slash == std::string_view::npos ? 0 : slash);
        colon != std::string_view::npos) {
        reference.tag = rest.substr(colon + 1);
        if (!is_tag(reference.tag)) {
            return bad_reference(whole, "the tag is not of letters, digits, '_', '.' and '-', at most 128");
        }
        rest = rest.substr(0, colon);
    } else if (!reference.digest) {
        reference.tag = "latest";
    }
    return {};
}

} // namespace

bool names_registry(std::string_view text) {
    const auto slash = text.find('/');
    const auto first = text.substr(0, slash);
    return slash != std::string_view::npos &&
           (first.find_first_of(".:[") != std::string_view::npos || first == "localhost" ||
            std::ranges::any_of(first, [](char c) { return c >= 'A' && c <= 'Z'; }));
}

Result<Reference> Reference::parse(std::string_view text) {
    Reference reference{.registry = std::string(docker_hub), .repository = {}, .tag = {}};
    auto rest = text;
    if (names_registry(text)) {
        const auto slash = text.find('/');
        reference.registry = text.substr(0, slash);
        if (!is_registry(reference.registry)) {
            return bad_reference(text, fmt::format("'{}' is not a host[:port]", reference.registry));
        }
        rest.remove_prefix(slash + 1);
        if (reference.registry == "index.docker.io") {
            reference.registry = docker_hub;
        }
    }
    if (auto taken = take_version(text, rest, reference); !taken) {
        return std::unexpected(taken.error());
    }
    if (!is_repository(rest)) {
        return bad_reference(text,
                             "the repository is not of lower-case letters and digits, parted by '/', '.', "
                             "'_' or '-'");
    }
    const bool is_official = reference.registry == docker_hub && rest.find('/') == std::string_view::npos;
    reference.repository = (is_official ? std::string(official) : std::string{}).append(rest);
    if (reference.name().size() > longest_name) {
        return bad_reference(text, "longer than 255 characters");
    }
    return reference;
}

std::string Reference::text() const {
    return name() + (tag.empty() ? "" : ":" + tag) + (digest ? "@" + digest->text() : "");
}

std::string Reference::familiar_name() const {
    if (registry != docker_hub) {
        return name();
    }
    const bool is_official =
        repository.starts_with(official) && repository.find('/', official.size()) == std::string::npos;
    const auto shown = is_official ? repository.substr(official.size()) : repository;
    return names_registry(shown) ? name() : shown; // not where the first word would be taken for a registry
}

std::string Reference::familiar() const {
    return familiar_name() + (tag.empty() ? "" : ":" + tag) + (digest ? "@" + digest->text() : "");
}

Result<std::vector<Reference>> candidates(std::string_view text, const std::vector<std::string>& search) {
    std::vector<Reference> all;
    if (names_registry(text) || search.empty()) {
        auto reference = Reference::parse(text);
        if (!reference) {
            return std::unexpected(reference.error());
        }
        all.push_back(std::move(*reference));
        return all;
    }
    for (const auto& registry : search) {
        auto reference = Reference::parse(registry + "/" + std::string(text));
        if (!reference) {
            auto plain = Reference::parse(text); // its message names what the user wrote
            return std::unexpected(plain ? reference.error() : plain.error());
        }
        all.push_back(std::move(*reference));
    }
    return all;
}

} // namespace strata::image
