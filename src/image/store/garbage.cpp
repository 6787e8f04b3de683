#include "image/store/garbage.hpp"

#include "base/remove_tree.hpp"
#include "image/store/lock.hpp"
#include "image/store/pin.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <set>

namespace strata::image {
namespace {

using Marked = std::set<Digest>;

// Marks an image's manifest, configuration, layers, and its layers unpacked.
void mark(const Image& image, Marked& marked) {
    marked.insert(image.target.digest);
    marked.insert(image.id());
    for (const auto& layer : image.manifest.layers) {
        marked.insert(layer.digest);
    }
    for (auto& chain : chain_ids(image.config.diff_ids)) {
        marked.insert(std::move(chain));
    }
}

Result<Marked> reachable(const Store& store) {
    const auto entries = store.entries();
    if (!entries) {
        return std::unexpected(entries.error());
    }
    auto leased = leased_digests(store.directory());
    if (!leased) {
        return std::unexpected(leased.error());
    }
    Marked marked(leased->begin(), leased->end());
    for (auto& digest : pinned_digests(store.directory())) {
        marked.insert(std::move(digest));
    }
    for (const auto& entry : *entries) {
        marked.insert(entry.target.digest);
        const auto name = entry.name ? entry.name->familiar() : entry.target.digest.text();
        const auto images = store.load_all(entry.target, name);
        if (!images) { // what it holds cannot be known, so nothing is removed
            auto error = images.error();
            error.hint = fmt::format("remove what is damaged: strata rmi {}", name);
            return std::unexpected(error);
        }
        for (const auto& image : *images) {
            mark(image, marked);
        }
    }
    return marked;
}

// Takes unreachable layers out of the way; they are deleted later, without the lock.
void discard_layers(const Store& store, const Marked& marked) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    for (const std::string algorithm : {"sha256", "sha512"}) {
        for (const auto& entry :
             fs::directory_iterator(store.directory() + "/layers/" + algorithm, ignored)) {
            const auto hex = entry.path().filename().string();
            const auto chain = Digest::parse(algorithm + ":" + hex);
            if (!chain || !marked.contains(*chain)) {
                fs::rename(entry.path(), store.directory() + "/trash/" + hex, ignored);
            }
        }
    }
}

void empty_trash(const Store& store) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(store.directory() + "/trash", ignored)) {
        static_cast<void>(remove_tree(entry.path())); // what stays is tried again the next time
    }
}

} // namespace

Result<Collected> collect_garbage(const Store& store, bool partial) {
    Collected collected;
    {
        const auto lock = StoreLock::exclusive(store.directory());
        if (!lock) {
            return std::unexpected(lock.error());
        }
        const auto marked = reachable(store);
        if (!marked) {
            return std::unexpected(marked.error());
        }
        const auto blobs = store.blobs().list();
        if (!blobs) {
            return std::unexpected(blobs.error());
        }
        for (const auto& blob : *blobs) {
            if (!marked->contains(blob.digest)) {
                store.blobs().remove(blob.digest);
                collected.blobs.push_back(blob.digest);
                collected.bytes += blob.size;
            }
        }
        collected.bytes += store.blobs().sweep_ingest(partial);
        discard_layers(store, *marked);
    }
    empty_trash(store);
    return collected;
}

} // namespace strata::image
