// strata search: looks for images in a registry.
#include "base/json_reader.hpp"
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/table.hpp"
#include "image/registry/client.hpp"

#include "base/error.hpp"

#include <fmt/format.h>

namespace strata::cli {
namespace {

struct Options {
    std::string term;
    std::size_t limit = 25;
    bool full = false;
};

struct Found {
    std::string name, description, stars, official;
};

constexpr std::size_t widest_description = 45;
constexpr auto hub_search = "index.docker.io";

void define(CLI::App& command, Options& options) {
    command.add_option("[REGISTRY/]TERM", options.term, "A part of the name")->required();
    command.add_option("--limit", options.limit, "At most so many")
        ->type_name("N")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command.add_flag("--no-trunc", options.full, "Whole descriptions");
    command.footer(
        "Docker Hub is asked for what it recommends; another registry for its catalog, in which names\n"
        "are all that can be searched.\n\n"
        "Examples:\n"
        "  strata search debian\n"
        "  strata search registry.example:5000/team");
}

Result<std::vector<Found>> search_hub(const Images& images, const Options& options) {
    image::Http http(hub_search, images.settings.of(hub_search), images.settings.stall);
    const auto answer = http.send({.url = fmt::format("https://{}/v1/search?q={}&n={}", hub_search,
                                                      image::url_encode(options.term), options.limit)});
    if (!answer) {
        return std::unexpected(answer.error());
    }
    if (!answer->ok()) {
        return fail(fmt::format("{}: search: status {}", hub_search, answer->status));
    }
    JsonReader reader("answer of Docker Hub");
    std::vector<Found> all;
    for (const auto& item : reader.parse(answer->body).at("results").items()) {
        all.push_back({.name = item.at("name").string(),
                       .description = item.find("description").string(),
                       .stars = std::to_string(item.find("star_count").number()),
                       .official = item.find("is_official").boolean() ? "[OK]" : ""});
    }
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return all;
}

Result<std::vector<Found>> search_catalog(const Images& images, const Options& options) {
    const auto slash = options.term.find('/');
    const auto registry = options.term.substr(0, slash);
    const auto term = options.term.substr(slash + 1);
    auto credentials = image::find_credentials(registry);
    if (!credentials) {
        return std::unexpected(credentials.error());
    }
    image::RegistryClient client(images.settings, registry, "", image::Access::pull, std::move(*credentials));
    constexpr std::size_t page = 1000, most_pages = 1000;
    std::vector<Found> all;
    std::string last;
    for (std::size_t i = 0; i < most_pages; ++i) {
        const auto answer = client.get(fmt::format("_catalog?n={}&last={}", page, image::url_encode(last)));
        if (!answer) {
            return std::unexpected(answer.error());
        }
        if (!answer->ok()) {
            return fail(fmt::format("{}: it does not show its catalog: status {}", registry, answer->status));
        }
        JsonReader reader("catalog of " + registry);
        const auto names = reader.parse(answer->body).find("repositories").strings();
        if (reader.error()) {
            return std::unexpected(*reader.error());
        }
        for (const auto& name : names) {
            if (name.contains(term) && all.size() < options.limit) {
                all.push_back(
                    {.name = registry + "/" + name, .description = {}, .stars = "0", .official = {}});
            }
        }
        if (names.empty() || names.back() == last || answer->header("link").empty()) {
            break;
        }
        last = names.back();
    }
    return all;
}

Result<void> search(const Images& images, Options& options) {
    const auto found =
        image::names_registry(options.term) ? search_catalog(images, options) : search_hub(images, options);
    if (!found) {
        return std::unexpected(found.error());
    }
    Table table({"NAME", "DESCRIPTION", "STARS", "OFFICIAL"});
    for (const auto& image : *found) {
        const bool cut = !options.full && image.description.size() > widest_description;
        table.add({image.name,
                   cut ? image.description.substr(0, widest_description - 3) + "..." : image.description,
                   image.stars, image.official});
    }
    table.print();
    return {};
}

} // namespace

void add_search(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "search", "Look for images in a registry", define, search);
}

} // namespace strata::cli
