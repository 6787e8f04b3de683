// What the user says of registries: /etc/strata/registries.json, and over it the user's own in
// ~/.config/strata/registries.json, or instead of both the file that STRATA_REGISTRIES names.
//
//   { "search": ["docker.io", "quay.io"],
//     "registries": { "docker.io": { "mirrors": ["mirror.example:5000"] },
//                     "lab.example": { "plain_http": true, "ca": "/etc/lab.pem" } },
//     "aliases": { "tools": "quay.io/team/tools" },
//     "stall_seconds": 60 }
#pragma once

#include "base/error.hpp"

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace strata::image {

struct RegistrySettings {
    std::vector<std::string> mirrors{}; // asked first, for pulls
    std::string ca{};                   // a file of certificates that vouch for it, besides the host's
    bool plain_http = false;
    bool verify_tls = true;
};

struct Settings {
    std::vector<std::string> search{"docker.io"}; // where names without a registry are looked for
    std::map<std::string, RegistrySettings> registries{};
    std::map<std::string, std::string> aliases{}; // names for names
    std::chrono::seconds stall{60};               // a transfer slower than a trickle for this long has failed

    [[nodiscard]] static Result<Settings> load();
    // Reads one file over what is set already.
    [[nodiscard]] Result<void> read(std::string_view text, std::string_view path);

    // What applies to a registry; loopback addresses speak plain HTTP unless told otherwise.
    [[nodiscard]] RegistrySettings of(const std::string& registry) const;
    // The name behind an alias, with the alias's tag or digest kept; else the text itself.
    [[nodiscard]] std::string resolve_alias(const std::string& text) const;
};

} // namespace strata::image
