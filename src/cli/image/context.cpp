#include "cli/image/context.hpp"

#include "base/error.hpp"
#include "instance/events.hpp"
#include "instance/instances.hpp"
#include "instance/rootless/user_namespace.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::cli {

namespace {

std::string state_directory() {
    const char* state = std::getenv("STRATA_STATE");
    return state != nullptr && *state != '\0' ? state : instance::Instances::default_directory();
}

} // namespace

Result<Images> open_images(const std::string& directory) {
    // Layers have files of subordinate IDs. Where users get no namespaces there are none.
    static_cast<void>(instance::enter_user_namespace(state_directory()));
    auto settings = image::Settings::load();
    if (!settings) {
        return std::unexpected(settings.error());
    }
    auto store = image::Store::open(directory);
    if (!store) {
        return std::unexpected(store.error());
    }
    return Images{std::move(*store), std::move(*settings)};
}

void tell_of_image(const std::string& image, const char* action) {
    const auto path = state_directory() + "/state.db";
    if (access(path.c_str(), F_OK) != 0) {
        return; // nobody watches
    }
    if (const auto database = instance::Database::open(path, "")) {
        instance::record_image_event(*database, image, action);
    }
}

std::string shown_name(const Images& images, const image::ImageEntry& entry) {
    if (entry.name) {
        return entry.name->familiar();
    }
    const auto image = shown_image(images, entry);
    return image ? image->id().text() : entry.target.digest.text();
}

Result<image::Image> shown_image(const Images& images, const image::ImageEntry& entry) {
    const auto name = entry.name ? entry.name->familiar() : entry.target.digest.text();
    auto image = images.store.load(entry.target, image::Platform::host(), name);
    if (image || entry.target.kind() != image::Kind::index) {
        return image;
    }
    auto all = images.store.load_all(entry.target, name);
    if (!all) {
        return std::unexpected(all.error());
    }
    if (all->empty()) {
        return std::unexpected(image.error());
    }
    return std::move(all->front());
}

} // namespace strata::cli
