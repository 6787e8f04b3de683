// What the commands about images share: the store, the settings, and the way images are shown.
#pragma once

#include "cli/command.hpp"
#include "image/registry/settings.hpp"
#include "image/store/store.hpp"

#include <memory>
#include <string>
#include <utility>

namespace strata::cli {

struct Images {
    image::Store store;
    image::Settings settings;

    [[nodiscard]] Result<image::ImageEntry> find(const std::string& text) const {
        return store.find(settings.resolve_alias(text), settings.search);
    }
};

[[nodiscard]] Result<Images> open_images(const std::string& directory);

// An image's name as users write it, or its ID when it has none.
[[nodiscard]] std::string shown_name(const Images& images, const image::ImageEntry& entry);
// The ID of the image that an entry stands for on this host, else of the first it has.
[[nodiscard]] Result<image::Image> shown_image(const Images& images, const image::ImageEntry& entry);

// Tells those who watch the events of containers what was done to an image, where there is such a state.
void tell_of_image(const std::string& image, const char* action);

// Adds a command that takes --store: `define` declares its options, `act` does it once the store is open.
template <class Options>
CLI::App* add_image_command(CLI::App& root, Outcome& outcome, const char* name, const char* purpose,
                            void (*define)(CLI::App&, Options&),
                            Result<void> (*act)(const Images&, Options&)) {
    struct All {
        std::string store = image::Store::default_directory();
        Options options{};
    };

    auto* command = root.add_subcommand(name, purpose);
    auto all = std::make_shared<All>();
    define(*command, all->options);
    command->add_option("--store", all->store, "Directory of the image store")
        ->type_name("DIR")
        ->envname("STRATA_STORE")
        ->capture_default_str();
    command->callback([all, act, &outcome] {
        const auto images = open_images(all->store);
        const auto done = images ? act(*images, all->options) : Result<void>(std::unexpected(images.error()));
        if (!done) {
            outcome.status = report(done.error(), failure);
        }
    });
    return command;
}

} // namespace strata::cli
