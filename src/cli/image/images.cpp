// strata images: lists what is here.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/table.hpp"
#include "cli/template.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>

namespace strata::cli {
namespace {

struct Options {
    std::string name, format;
    std::vector<std::string> filters;
    bool all = false, quiet = false, full = false, digests = false;
};

struct Row {
    image::ImageEntry entry;
    image::Image image;
};

void define(CLI::App& command, Options& options) {
    command.add_option("REPOSITORY[:TAG]", options.name, "Only images of this name");
    command.add_flag("-a,--all", options.all, "Also images without a name (they are always shown)");
    command.add_flag("-q,--quiet", options.quiet, "Only the IDs");
    command.add_flag("--no-trunc", options.full, "Whole IDs");
    command.add_flag("--digests", options.digests, "Also the digests by which registries know the images");
    command.add_option("-f,--filter", options.filters, "Only images that fit; may be repeated")
        ->type_name("dangling=BOOL|reference=PATTERN|label=KEY[=VALUE]")
        ->allow_extra_args(false);
    command
        .add_option("--format", options.format, "table, json, or a template as in '{{.Repository}}:{{.Tag}}'")
        ->type_name("FORMAT");
    command.footer(
        "SIZE is what the layers take in the store, compressed as they came; images share layers.\n\n"
        "Examples:\n"
        "  strata images\n"
        "  strata images --filter dangling=true -q\n"
        "  strata images --format '{{.ID}} {{.Repository}}:{{.Tag}}'");
}

bool has_label(const image::Image& image, const std::string& wanted) {
    const auto equals = wanted.find('=');
    const auto& labels = image.config.run.labels;
    const auto found = labels.find(wanted.substr(0, equals));
    return found != labels.end() &&
           (equals == std::string::npos || found->second == wanted.substr(equals + 1));
}

Result<bool> passes(const Row& row, const std::string& filter) {
    const auto equals = filter.find('=');
    const auto key = filter.substr(0, equals);
    const auto value = equals == std::string::npos ? std::string{} : filter.substr(equals + 1);
    if (key == "dangling") {
        return row.entry.name.has_value() != (value == "true" || value == "1");
    }
    if (key == "label") {
        return has_label(row.image, value);
    }
    if (key == "reference") {
        const auto matches = [&](const std::string& text) {
            return fnmatch(value.c_str(), text.c_str(), 0) == 0;
        };
        return row.entry.name &&
               (matches(row.entry.name->familiar()) || matches(row.entry.name->familiar_name()));
    }
    return fail(fmt::format("filter '{}' is not known", filter), "use dangling=, reference= or label=");
}

// What the table's columns and the templates' fields hold.
nlohmann::json fields_of(const Row& row, const Options& options) {
    const auto& name = row.entry.name;
    const auto& id = row.image.id();
    const auto digest = row.entry.repository_digest.value_or(row.entry.target.digest);
    return {{"Repository", name ? name->familiar_name() : "<none>"},
            {"Tag", name && !name->tag.empty() ? name->tag : "<none>"},
            {"ID", options.full ? id.text() : id.short_hex()},
            {"Digest", digest.text()},
            {"CreatedSince", human_age(row.image.config.created)},
            {"CreatedAt", row.image.config.created},
            {"Platform", row.image.config.platform.text()},
            {"Size", human_size(row.image.size())}};
}

bool is_named(const image::ImageEntry& entry, const Images& images, const std::string& wanted) {
    const auto names = image::candidates(images.settings.resolve_alias(wanted), images.settings.search);
    const bool any_tag =
        wanted.find(':', wanted.rfind('/') == wanted.npos ? 0 : wanted.rfind('/')) == wanted.npos;
    return names && entry.name && std::ranges::any_of(*names, [&](const auto& name) {
               return entry.name->name() == name.name() && (any_tag || entry.name->tag == name.tag);
           });
}

Result<std::vector<Row>> select(const Images& images, const Options& options) {
    auto entries = images.store.entries();
    if (!entries) {
        return std::unexpected(entries.error());
    }
    std::vector<Row> rows;
    for (auto& entry : *entries) {
        if (!options.name.empty() && !is_named(entry, images, options.name)) {
            continue;
        }
        auto image = shown_image(images, entry);
        if (!image) {
            fmt::print(stderr, "strata: {}\n", image.error().message); // the others are shown all the same
            continue;
        }
        Row row{std::move(entry), std::move(*image)};
        bool wanted = true;
        for (const auto& filter : options.filters) {
            const auto passed = passes(row, filter);
            if (!passed) {
                return std::unexpected(passed.error());
            }
            wanted = wanted && *passed;
        }
        if (wanted) {
            rows.push_back(std::move(row));
        }
    }
    std::ranges::sort(rows, std::greater{}, [](const Row& row) {
        return std::pair(row.image.config.created, row.entry.name ? row.entry.name->text() : "");
    });
    return rows;
}

void print_table(const std::vector<Row>& rows, const Options& options) {
    std::vector<std::pair<std::string, const char*>> columns{{"REPOSITORY", "Repository"}, {"TAG", "Tag"}};
    if (options.digests) {
        columns.emplace_back("DIGEST", "Digest");
    }
    columns.insert(columns.end(), {{"IMAGE ID", "ID"}, {"CREATED", "CreatedSince"}, {"SIZE", "Size"}});
    std::vector<std::string> titles;
    for (const auto& [title, field] : columns) {
        titles.push_back(title);
    }
    Table table(std::move(titles));
    for (const auto& row : rows) {
        const auto fields = fields_of(row, options);
        std::vector<std::string> cells;
        for (const auto& [title, field] : columns) {
            cells.push_back(fields[field].get<std::string>());
        }
        table.add(std::move(cells));
    }
    table.print();
}

void print_ids(const std::vector<Row>& rows, const Options& options) {
    std::vector<std::string> shown;
    for (const auto& row : rows) {
        const auto id = options.full ? row.image.id().text() : row.image.id().short_hex();
        if (std::ranges::find(shown, id) == shown.end()) {
            fmt::print("{}\n", id);
            shown.push_back(id);
        }
    }
}

Result<void> list(const Images& images, Options& options) {
    const auto rows = select(images, options);
    if (!rows) {
        return std::unexpected(rows.error());
    }
    if (options.quiet) {
        print_ids(*rows, options);
        return {};
    }
    if (options.format.empty() || options.format == "table") {
        print_table(*rows, options);
        return {};
    }
    const auto format = options.format == "json" ? "{{json .}}" : options.format;
    for (const auto& row : *rows) {
        const auto line = render(format, fields_of(row, options));
        if (!line) {
            return std::unexpected(line.error());
        }
        fmt::print("{}\n", *line);
    }
    return {};
}

} // namespace

void add_images(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "images", "List images", define, list);
}

} // namespace strata::cli
