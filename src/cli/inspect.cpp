// strata inspect: all that is known of a container or an image, as Docker's client writes it.
#include "cli/commands.hpp"
#include "cli/image/describe.hpp"
#include "cli/instance/context.hpp"
#include "cli/instance/describe.hpp"
#include "cli/template.hpp"
#include "cli/usage_error.hpp"
#include "vm/control/client.hpp"

#include "base/error.hpp"

#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

namespace strata::cli {
namespace {

struct Options {
    std::vector<std::string> names;
    std::string format, type, platform;
    bool engine = false;
    Places places;
};

void define(CLI::App& command, Options& options) {
    command.add_option("NAME", options.names, "Names or IDs of containers or images, or names of machines")
        ->required();
    command.add_option("-f,--format", options.format, "json, or a template as in '{{.Config.Env}}'")
        ->type_name("FORMAT");
    command.add_option("--type", options.type, "Only objects of this kind")
        ->check(one_of({"container", "image"}))
        ->type_name("container|image");
    command.add_option("--platform", options.platform, "Of an image for many platforms, the one to show")
        ->type_name("OS/ARCHITECTURE");
    command.add_flag("--engine", options.engine,
                     "Of running virtual machines, what the engines of their processors have counted");
    define_places(command, options.places);
    command.footer("Examples:\n"
                   "  strata inspect web\n"
                   "  strata inspect -f '{{.State.Status}} {{.NetworkSettings.IPAddress}}' web\n"
                   "  strata inspect -f '{{.Id}} {{json .Config.Cmd}}' debian:12\n"
                   "  strata inspect --engine live     # docs/control.md says what is counted");
}

class Inspector {
public:
    explicit Inspector(const Options& options) : options_(options) {}

    Result<void> open() {
        // To look at images no state of containers has to be made.
        if (options_.type != "image" && std::filesystem::exists(options_.places.directory + "/state.db")) {
            auto instances = open_instances(options_.places);
            if (!instances) {
                return std::unexpected(instances.error());
            }
            instances_ = std::move(*instances);
        }
        if (options_.type != "container") {
            auto images = open_images(options_.places.store);
            if (!images) {
                return std::unexpected(images.error());
            }
            images_ = std::move(*images);
        }
        return {};
    }

    // A container is found before an image of the same name.
    [[nodiscard]] Result<nlohmann::json> look_at(const std::string& name) const {
        if (instances_) {
            const auto found = find_container(*instances_, name);
            if (found) {
                return describe_container(*instances_, *found);
            }
            if (found.error().code != ENOENT || !images_) {
                return std::unexpected(found.error());
            }
        }
        if (!images_) {
            return fail(fmt::format("no container '{}'", name), "strata ps -a lists them");
        }
        auto image = describe_image(*images_, name, options_.platform);
        if (!image && instances_) {
            return fail(fmt::format("neither a container nor an image is called '{}'", name),
                        "strata ps -a and strata images list them");
        }
        return image;
    }

private:
    const Options& options_;
    std::optional<instance::Instances> instances_{};
    std::optional<Images> images_{};
};

// By vCPU, engine and reason.
Result<nlohmann::json> engine_of_machine(const std::string& name) {
    const auto counts = vm::control::exits(name);
    if (!counts) {
        return std::unexpected(counts.error());
    }
    return nlohmann::json{{"Name", name}, {"Processors", *counts}};
}

Result<void> inspect(const Options& options) {
    Inspector inspector(options);
    if (auto opened = options.engine ? Result<void>() : inspector.open(); !opened) {
        return opened;
    }
    auto all = nlohmann::json::array();
    Result<void> outcome;
    for (const auto& name : options.names) {
        if (auto one = options.engine ? engine_of_machine(name) : inspector.look_at(name)) {
            all.push_back(std::move(*one));
        } else {
            outcome = std::unexpected(one.error());
        }
    }
    if (options.format.empty() || options.format == "json") {
        fmt::print("{}\n", all.dump(options.format.empty() ? 4 : -1, ' ', false,
                                    nlohmann::json::error_handler_t::replace));
        return outcome;
    }
    for (const auto& one : all) {
        const auto line = render(options.format, one);
        if (!line) {
            return std::unexpected(line.error());
        }
        fmt::print("{}\n", *line);
    }
    return outcome;
}

} // namespace

void add_inspect(CLI::App& root, Outcome& outcome) {
    auto* command = root.add_subcommand("inspect", "Show all that is known of containers and images");
    auto options = std::make_shared<Options>();
    define(*command, *options);
    command->callback([options, &outcome] {
        if (const auto done = inspect(*options); !done) {
            outcome.status = report(done.error(), failure);
        }
    });
}

} // namespace strata::cli
