// What a registry asks for in WWW-Authenticate: RFC 9110, section 11.6.1, with the token parameters of the
// distribution project.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace strata::image {

struct Challenge {
    std::string scheme{}; // in lower case; empty when the header is not understood
    std::map<std::string, std::string> parameters{};

    [[nodiscard]] static Challenge parse(std::string_view header);

    [[nodiscard]] std::string get(const std::string& name) const {
        const auto found = parameters.find(name);
        return found == parameters.end() ? "" : found->second;
    }
};

} // namespace strata::image
