#include "image/store/store.hpp"

#include "base/atomic_file.hpp"
#include "image/store/lock.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::image {
namespace {

constexpr std::string_view layout_marker = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::size_t longest_id = 64;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

Result<void> write_if_absent(const std::string& path, std::string_view content) {
    if (access(path.c_str(), F_OK) == 0) {
        return {};
    }
    return replace_file(path, content, 0644);
}

bool is_id(std::string_view text) {
    return !text.empty() && text.size() <= longest_id &&
           text.find_first_not_of("0123456789abcdef") == text.npos;
}

// Whether `entry` is what `wanted` names; a digest may be the manifest's or the one the registry knows.
bool answers(const ImageEntry& entry, const Reference& wanted) {
    if (!entry.name || entry.name->name() != wanted.name()) {
        return false;
    }
    if (wanted.digest) {
        return entry.target.digest == *wanted.digest || entry.repository_digest == wanted.digest;
    }
    return entry.name->tag == wanted.tag;
}

} // namespace

std::uint64_t Image::size() const {
    std::uint64_t sum = 0;
    for (const auto& layer : manifest.layers) {
        sum += layer.size;
    }
    return sum;
}

std::string Store::default_directory() {
    if (geteuid() == 0) {
        return "/var/lib/strata/images";
    }
    const auto data = variable("XDG_DATA_HOME");
    return (data.empty() ? variable("HOME") + "/.local/share" : data) + "/strata/images";
}

Result<Store> Store::open(const std::string& directory) {
    // Layers may hold set-user-ID programs and devices: others must not reach them through the store.
    for (const char* part :
         {"", "/blobs/sha256", "/blobs/sha512", "/ingest", "/leases", "/layers", "/trash"}) {
        if (auto made = make_directories(directory + part, 0700); !made) {
            return std::unexpected(made.error());
        }
    }
    Store store(directory);
    const auto lock = StoreLock::exclusive(directory);
    if (!lock) {
        return std::unexpected(lock.error());
    }
    if (auto marked = write_if_absent(directory + "/oci-layout", layout_marker); !marked) {
        return std::unexpected(marked.error());
    }
    if (auto made = write_if_absent(directory + "/index.json", Index{}.text()); !made) {
        return std::unexpected(made.error());
    }
    return store;
}

Result<void> Store::name_image(ImageEntry entry) const {
    return update([&](ImageEntries& entries) -> Result<void> {
        set_name(entries, std::move(entry));
        return {};
    });
}

Result<Image> Store::load_manifest(const Descriptor& target, std::string_view what) const {
    const auto text = blobs_.read_document(target.digest);
    if (!text) {
        return std::unexpected(text.error());
    }
    auto manifest = Manifest::parse(*text, target.media_type, fmt::format("manifest of {}", what));
    if (!manifest) {
        return std::unexpected(manifest.error());
    }
    const auto config_text = blobs_.read_document(manifest->config.digest);
    if (!config_text) {
        return std::unexpected(config_text.error());
    }
    auto config = Config::parse(*config_text, fmt::format("configuration of {}", what));
    if (!config) {
        return std::unexpected(config.error());
    }
    if (config->diff_ids.size() != manifest->layers.size()) {
        return fail(fmt::format("{}: the manifest has {} layers, the configuration's rootfs.diff_ids {}",
                                what, manifest->layers.size(), config->diff_ids.size()));
    }
    return Image{target, std::move(*manifest), std::move(*config)};
}

Result<Image> Store::load(const Descriptor& target, const Platform& platform, std::string_view what) const {
    if (target.kind() != Kind::index) {
        return load_manifest(target, what);
    }
    const auto text = blobs_.read_document(target.digest);
    if (!text) {
        return std::unexpected(text.error());
    }
    const auto index = Index::parse(*text, target.media_type, fmt::format("index of {}", what));
    if (!index) {
        return std::unexpected(index.error());
    }
    const auto chosen = index->choose(platform, what);
    if (!chosen) {
        return std::unexpected(chosen.error());
    }
    return load_manifest(*chosen, what);
}

Result<std::vector<Image>> Store::load_all(const Descriptor& target, std::string_view what) const {
    std::vector<Descriptor> targets{target};
    if (target.kind() == Kind::index) {
        const auto text = blobs_.read_document(target.digest);
        if (!text) {
            return std::unexpected(text.error());
        }
        auto index = Index::parse(*text, target.media_type, fmt::format("index of {}", what));
        if (!index) {
            return std::unexpected(index.error());
        }
        targets = std::move(index->manifests);
    }
    std::vector<Image> images;
    for (const auto& each : targets) {
        if (each.kind() != Kind::manifest || !blobs_.contains(each.digest)) {
            continue;
        }
        auto image = load_manifest(each, what);
        if (!image) {
            return std::unexpected(image.error());
        }
        images.push_back(std::move(*image));
    }
    return images;
}

Result<std::optional<ImageEntry>> Store::find_id(const ImageEntries& entries, const std::string& text) const {
    const auto hex = text.starts_with("sha256:") ? text.substr(7) : text;
    if (!is_id(hex)) {
        return std::nullopt;
    }
    std::optional<ImageEntry> found;
    for (const auto& entry : entries) {
        const auto images = load_all(entry.target, text);
        bool matches = entry.target.digest.hex().starts_with(hex);
        for (const auto& image : images ? *images : std::vector<Image>{}) {
            matches = matches || image.id().hex().starts_with(hex);
        }
        if (matches && found && found->target.digest != entry.target.digest) {
            return fail(fmt::format("more than one image's ID begins with '{}'", text), "write more of it");
        }
        if (matches) {
            found = entry;
        }
    }
    return found;
}

Result<ImageEntry> Store::find(const std::string& text, const std::vector<std::string>& search) const {
    const auto all = entries();
    if (!all) {
        return std::unexpected(all.error());
    }
    const auto names = candidates(text, search);
    for (const auto& name : names ? *names : std::vector<Reference>{}) {
        const auto found =
            std::ranges::find_if(*all, [&](const auto& entry) { return answers(entry, name); });
        if (found != all->end()) {
            return *found;
        }
    }
    auto by_id = find_id(*all, text);
    if (!by_id) {
        return std::unexpected(by_id.error());
    }
    if (by_id->has_value()) {
        return **by_id;
    }
    if (!names && !text.starts_with("sha256:")) {
        return std::unexpected(names.error());
    }
    return fail(fmt::format("no image '{}' here", text),
                "strata images lists what is here; strata pull fetches more");
}

} // namespace strata::image
