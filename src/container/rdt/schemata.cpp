#include "container/rdt/schemata.hpp"

#include "container/cgroups/files.hpp"

#include <algorithm>
#include <map>

namespace strata::container {
namespace {

std::string trim(std::string_view text) {
    const auto start = text.find_first_not_of(" \t");
    return start == std::string_view::npos
               ? ""
               : std::string(text.substr(start, text.find_last_not_of(" \t") + 1 - start));
}

struct Schema {
    std::string resource;
    std::map<std::string, std::string> domains{};
};

// Masks of caches may have zeros before them; bandwidths are decimal, and have none.
Schema parse(std::string_view line) {
    const auto colon = std::min(line.find(':'), line.size());
    Schema schema{trim(line.substr(0, colon))};
    for (auto at = std::min(colon + 1, line.size()); at < line.size();) {
        const auto end = std::min(line.find(';', at), line.size());
        const auto entry = line.substr(at, end - at);
        const auto equals = entry.find('=');
        if (equals != std::string_view::npos) {
            const std::string value = trim(entry.substr(equals + 1));
            const auto digits = std::min(value.find_first_not_of('0'), value.size());
            schema.domains[trim(entry.substr(0, equals))] = value.substr(digits);
        }
        at = end + 1;
    }
    return schema;
}

} // namespace

std::vector<std::string> schemata_of(const IntelRdt& rdt) {
    std::string both;
    for (const auto& line : split_lines(rdt.l3_cache_schema)) {
        // Bandwidth is the other's to say, if it does.
        if (rdt.memory_bandwidth_schema.empty() || !line.starts_with("MB:")) {
            both += line + "\n";
        }
    }
    both += rdt.memory_bandwidth_schema.empty() ? "" : rdt.memory_bandwidth_schema + "\n";
    std::string further;
    for (const auto& line : rdt.schemata) {
        further += line + "\n";
    }
    std::vector<std::string> texts;
    for (auto* text : {&both, &further}) {
        if (!text->empty()) {
            texts.push_back(std::move(*text));
        }
    }
    return texts;
}

std::string first_difference(const std::string& wanted, const std::string& there) {
    std::map<std::string, Schema> present;
    for (const auto& line : split_lines(there)) {
        auto schema = parse(line);
        present.emplace(schema.resource, schema);
    }
    for (const auto& line : split_lines(wanted)) {
        const Schema schema = parse(line);
        const auto found = present.find(schema.resource);
        const bool same =
            found != present.end() && std::ranges::all_of(schema.domains, [&](const auto& domain) {
                const auto now = found->second.domains.find(domain.first);
                return now != found->second.domains.end() && now->second == domain.second;
            });
        if (!same) {
            return line;
        }
    }
    return "";
}

std::string schema_line(const std::string& schemata, std::string_view resource) {
    for (const auto& line : split_lines(schemata)) {
        if (parse(line).resource == resource) {
            return trim(line);
        }
    }
    return "";
}

} // namespace strata::container
