#include "image/store/images.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "image/manifest.hpp"
#include "image/store/lock.hpp"

#include <algorithm>

namespace strata::image {
namespace {

constexpr auto name_annotation = "org.opencontainers.image.ref.name";
constexpr auto origin_annotation = "dev.strata.repository-digest";
constexpr std::uint64_t largest_index = 256U << 20;

std::string index_path(const std::string& store) { return store + "/index.json"; }

ImageEntry to_entry(Descriptor descriptor) {
    ImageEntry entry{.target = std::move(descriptor)};
    auto& annotations = entry.target.annotations;
    if (const auto name = annotations.find(name_annotation); name != annotations.end()) {
        if (auto reference = Reference::parse(name->second)) {
            entry.name = std::move(*reference);
        }
        annotations.erase(name);
    }
    if (const auto origin = annotations.find(origin_annotation); origin != annotations.end()) {
        if (auto digest = Digest::parse(origin->second)) {
            entry.repository_digest = std::move(*digest);
        }
        annotations.erase(origin);
    }
    return entry;
}

Descriptor to_descriptor(const ImageEntry& entry) {
    Descriptor descriptor = entry.target;
    if (entry.name) {
        descriptor.annotations[name_annotation] = entry.name->text();
    }
    if (entry.repository_digest) {
        descriptor.annotations[origin_annotation] = entry.repository_digest->text();
    }
    return descriptor;
}

bool same_image(const ImageEntry& a, const ImageEntry& b) { return a.target.digest == b.target.digest; }

} // namespace

Result<ImageEntries> read_images(const std::string& store) {
    const auto path = index_path(store);
    const auto content = read_file(path, "image index", largest_index);
    if (!content) {
        return std::unexpected(content.error());
    }
    const std::string_view text(reinterpret_cast<const char*>(content->data()), content->size());
    auto index = Index::parse(text, media_type::oci_index, path);
    if (!index) {
        return std::unexpected(index.error());
    }
    ImageEntries entries;
    for (auto& descriptor : index->manifests) {
        entries.push_back(to_entry(std::move(descriptor)));
    }
    return entries;
}

Result<void> update_images(const std::string& store,
                           const std::function<Result<void>(ImageEntries&)>& change) {
    const auto lock = StoreLock::exclusive(store);
    if (!lock) {
        return std::unexpected(lock.error());
    }
    auto entries = read_images(store);
    if (!entries) {
        return std::unexpected(entries.error());
    }
    if (auto changed = change(*entries); !changed) {
        return changed;
    }
    Index index;
    for (const auto& entry : *entries) {
        index.manifests.push_back(to_descriptor(entry));
    }
    return replace_file(index_path(store), index.text(), 0644);
}

void set_name(ImageEntries& entries, ImageEntry entry) {
    const auto holds_name = [&](const ImageEntry& other) { return entry.name && other.name == entry.name; };
    if (const auto old = std::ranges::find_if(entries, holds_name); old != entries.end()) {
        const ImageEntry replaced = *old;
        entries.erase(old);
        const bool known = same_image(replaced, entry) || std::ranges::any_of(entries, [&](const auto& e) {
                               return same_image(e, replaced);
                           });
        if (!known) {
            entries.push_back({.target = replaced.target, .repository_digest = replaced.repository_digest});
        }
    }
    std::erase_if(entries, [&](const ImageEntry& other) { return !other.name && same_image(other, entry); });
    entries.push_back(std::move(entry));
}

} // namespace strata::image
