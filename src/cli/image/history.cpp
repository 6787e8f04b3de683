// strata history: the steps that made an image.
#include "cli/commands.hpp"
#include "cli/image/context.hpp"
#include "cli/table.hpp"
#include "cli/template.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace strata::cli {
namespace {

struct Options {
    std::string name, format;
    bool full = false, quiet = false, human = true;
};

constexpr std::size_t widest_step = 45;

void define(CLI::App& command, Options& options) {
    command.add_option("IMAGE", options.name, "A name or an ID")->required();
    command.add_flag("--no-trunc", options.full, "Whole IDs and steps");
    command.add_flag("-q,--quiet", options.quiet, "Only the IDs");
    command.add_flag("-H,--human,!--no-human", options.human, "Sizes and dates for people (default)");
    command
        .add_option("--format", options.format, "table, json, or a template as in '{{.CreatedBy}} {{.Size}}'")
        ->type_name("FORMAT");
    command.footer("Example:\n  strata history --no-trunc debian:12");
}

std::string shortened(const std::string& text, const Options& options) {
    return options.full || text.size() <= widest_step ? text : text.substr(0, widest_step - 3) + "...";
}

// The steps, the newest first, with the sizes of the layers they made.
std::vector<nlohmann::json> steps_of(const image::Image& image, const Options& options) {
    std::vector<nlohmann::json> steps;
    std::size_t layer = 0;
    auto history = image.config.history;
    if (history.empty()) {
        history.resize(image.manifest.layers.size()); // an image need not tell
    }
    for (const auto& entry : history) {
        const bool has_layer = !entry.empty_layer && layer < image.manifest.layers.size();
        const auto size = has_layer ? image.manifest.layers[layer++].size : 0;
        steps.push_back({{"ID", "<missing>"},
                         {"CreatedSince", human_age(entry.created)},
                         {"CreatedAt", entry.created},
                         {"CreatedBy", shortened(entry.created_by, options)},
                         {"Size", options.human ? human_size(size) : std::to_string(size)},
                         {"Comment", entry.comment}});
    }
    std::ranges::reverse(steps);
    if (!steps.empty()) {
        steps.front()["ID"] = options.full ? image.id().text() : image.id().short_hex();
    }
    return steps;
}

Result<void> show(const Images& images, Options& options) {
    const auto entry = images.find(options.name);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    const auto image = shown_image(images, *entry);
    if (!image) {
        return std::unexpected(image.error());
    }
    const auto steps = steps_of(*image, options);
    const bool table = !options.quiet && (options.format.empty() || options.format == "table");
    if (table) {
        Table rows({"IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"});
        for (const auto& step : steps) {
            rows.add({step["ID"], step[options.human ? "CreatedSince" : "CreatedAt"], step["CreatedBy"],
                      step["Size"], step["Comment"]});
        }
        rows.print();
        return {};
    }
    const auto format = options.quiet ? "{{.ID}}" : options.format == "json" ? "{{json .}}" : options.format;
    for (const auto& step : steps) {
        const auto line = render(format, step);
        if (!line) {
            return std::unexpected(line.error());
        }
        fmt::print("{}\n", *line);
    }
    return {};
}

} // namespace

void add_history(CLI::App& root, Outcome& outcome) {
    add_image_command<Options>(root, outcome, "history", "Show the steps that made an image", define, show);
}

} // namespace strata::cli
