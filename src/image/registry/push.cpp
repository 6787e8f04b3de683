#include "image/registry/parallel.hpp"
#include "image/registry/transfer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace strata::image {
namespace {

class Pusher {
public:
    Pusher(const Store& store, Lease& lease, RegistryClient& client, Reference name, Progress& progress)
        : store_(store), lease_(lease), client_(client), name_(std::move(name)), progress_(progress) {}

    Result<void> push(const Descriptor& target);

private:
    Result<void> find_sources();
    Result<void> push_blobs(const std::vector<Image>& images);
    Result<void> push_blob(const Descriptor& blob);
    Result<bool> mount_blob(const Digest& digest);
    Result<void> push_document(const std::string& reference, const Descriptor& target);

    const Store& store_;
    Lease& lease_;
    RegistryClient& client_;
    Reference name_;
    Progress& progress_;
    std::multimap<Digest, std::string> sources_; // repositories of this registry that should have a blob
};

// Images here whose names are of the same registry came from there, or went there.
Result<void> Pusher::find_sources() {
    const auto entries = store_.entries();
    if (!entries) {
        return std::unexpected(entries.error());
    }
    for (const auto& entry : *entries) {
        if (!entry.name || !entry.repository_digest || entry.name->registry != name_.registry ||
            entry.name->repository == name_.repository) {
            continue;
        }
        for (const auto& image :
             store_.load_all(entry.target, entry.name->familiar()).value_or(std::vector<Image>{})) {
            for (const auto& layer : image.manifest.layers) {
                sources_.emplace(layer.digest, entry.name->repository);
            }
        }
    }
    return {};
}

Result<bool> Pusher::mount_blob(const Digest& digest) {
    const auto [begin, end] = sources_.equal_range(digest);
    for (auto source = begin; source != end; ++source) {
        const auto mounted = client_.mount_blob(digest, source->second);
        if (!mounted || *mounted) {
            if (mounted) {
                progress_.show(digest, "Mounted from " + source->second, 0, 0);
            }
            return mounted;
        }
    }
    return false;
}

Result<void> Pusher::push_blob(const Descriptor& blob) {
    const auto present = client_.has_blob(blob.digest);
    if (!present) {
        return std::unexpected(present.error());
    }
    if (*present) {
        progress_.show(blob.digest, "Layer already exists", 0, 0);
        return {};
    }
    if (const auto mounted = mount_blob(blob.digest); !mounted || *mounted) {
        return mounted ? Result<void>{} : std::unexpected(mounted.error());
    }
    const auto file = store_.blobs().open(blob.digest);
    if (!file) {
        return std::unexpected(file.error());
    }
    const auto pushed = client_.push_blob(blob, file->get(), [&](std::uint64_t done) {
        progress_.show(blob.digest, "Pushing", done, blob.size);
    });
    if (pushed) {
        progress_.show(blob.digest, "Pushed", 0, 0);
    }
    return pushed;
}

Result<void> Pusher::push_blobs(const std::vector<Image>& images) {
    std::vector<Descriptor> blobs;
    const auto add = [&](const Descriptor& blob) {
        if (std::ranges::find(blobs, blob.digest, &Descriptor::digest) == blobs.end()) {
            blobs.push_back(blob);
        }
    };
    for (const auto& image : images) {
        for (const auto& layer : image.manifest.layers) {
            if (media_type_of(layer.media_type).distributable) {
                add(layer);
            }
        }
        add(image.manifest.config);
    }
    for (const auto& blob : blobs) {
        if (auto leased = lease_.add(blob.digest); !leased) {
            return leased;
        }
    }
    return for_each_parallel(blobs.size(), most_transfers,
                             [&](std::size_t i, const std::atomic<bool>&) { return push_blob(blobs[i]); });
}

Result<void> Pusher::push_document(const std::string& reference, const Descriptor& target) {
    const auto text = store_.blobs().read_document(target.digest);
    if (!text) {
        return std::unexpected(text.error());
    }
    return client_.push_document(reference, target, *text);
}

Result<void> Pusher::push(const Descriptor& target) {
    const auto images = store_.load_all(target, name_.familiar());
    if (!images) {
        return std::unexpected(images.error());
    }
    if (auto found = find_sources(); !found) {
        return found;
    }
    if (auto pushed = push_blobs(*images); !pushed) {
        return pushed;
    }
    if (target.kind() == Kind::index) {
        for (const auto& image : *images) {
            if (auto pushed = push_document(image.target.digest.text(), image.target); !pushed) {
                return pushed;
            }
        }
    }
    return push_document(name_.tag.empty() ? target.digest.text() : name_.tag, target);
}

} // namespace

Result<Descriptor> push_image(const Store& store, const Settings& settings, const ImageEntry& entry,
                              Progress& progress) {
    if (!entry.name) {
        return fail("an image without a name cannot be pushed", "give it one: strata tag");
    }
    auto lease = store.lease();
    if (!lease) {
        return std::unexpected(lease.error());
    }
    auto credentials = find_credentials(entry.name->registry);
    if (!credentials) {
        return std::unexpected(credentials.error());
    }
    RegistryClient client(settings, entry.name->registry, entry.name->repository, Access::push,
                          std::move(*credentials));
    if (auto pushed = Pusher(store, *lease, client, *entry.name, progress).push(entry.target); !pushed) {
        return std::unexpected(pushed.error());
    }
    auto known = entry;
    known.repository_digest = entry.target.digest;
    if (auto named = store.name_image(std::move(known)); !named) {
        return std::unexpected(named.error());
    }
    return entry.target;
}

} // namespace strata::image
