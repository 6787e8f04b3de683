#include "image/registry/parallel.hpp"
#include "image/registry/transfer.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace strata::image {
namespace {

class Puller {
public:
    Puller(const Store& store, Lease& lease, RegistryClient& client, const Reference& name,
           const PullOptions& options, Progress& progress)
        : store_(store), lease_(lease), client_(client), name_(name), options_(options), progress_(progress) {
    }

    Result<ImageEntry> pull();

private:
    Result<FetchedDocument> fetch_document(const std::string& reference);
    Result<Index> keep_index(const FetchedDocument& document) const;
    Result<Descriptor> pull_all(const FetchedDocument& document);
    Result<Descriptor> pull_one(const Descriptor& target);
    Result<void> pull_manifest(const FetchedDocument& document);
    Result<void> fetch_blob(const Descriptor& blob, bool is_layer, const std::atomic<bool>& stop);

    const Store& store_;
    Lease& lease_;
    RegistryClient& client_;
    const Reference& name_;
    const PullOptions& options_;
    Progress& progress_;
};

Result<FetchedDocument> Puller::fetch_document(const std::string& reference) {
    auto document = client_.fetch_document(reference);
    if (!document) {
        return document;
    }
    if (auto written = store_.blobs().write_document(document->descriptor.digest, document->text, lease_);
        !written) {
        return std::unexpected(written.error());
    }
    return document;
}

Result<void> Puller::fetch_blob(const Descriptor& blob, bool is_layer, const std::atomic<bool>& stop) {
    const auto show = [&](std::string_view state, std::uint64_t done = 0, std::uint64_t total = 0) {
        if (is_layer) {
            progress_.show(blob.digest, state, done, total);
        }
    };
    if (auto leased = lease_.add(blob.digest); !leased) {
        return leased;
    }
    auto writer = store_.blobs().fetch(blob.digest);
    if (!writer) {
        return std::unexpected(writer.error());
    }
    if (!*writer) {
        show("Already exists");
        return {};
    }
    const auto report = [&](std::uint64_t done) { show("Downloading", done, blob.size); };
    const bool resumed = (*writer)->size() > 0;
    auto fetched = client_.fetch_blob(blob, **writer, stop, report);
    if (fetched && resumed &&
        (*writer)->digest() != blob.digest) { // what was here came from a source that lied
        fetched = (*writer)->restart();
        fetched = fetched ? client_.fetch_blob(blob, **writer, stop, report) : fetched;
    }
    if (!fetched) {
        return fetched;
    }
    if (const auto committed = (*writer)->commit(lease_); !committed) {
        auto error = committed.error();
        error.message = fmt::format("{}: {}", client_.host(), error.message);
        return std::unexpected(std::move(error));
    }
    show("Pull complete");
    return {};
}

Result<void> Puller::pull_manifest(const FetchedDocument& document) {
    const auto what = fmt::format("manifest of {}", name_.familiar());
    const auto manifest = Manifest::parse(document.text, document.descriptor.media_type, what);
    if (!manifest) {
        return std::unexpected(manifest.error());
    }
    if (manifest->config.size > largest_document) {
        return fail(fmt::format("{}: config.size is larger than {}", what, largest_document));
    }
    for (const auto& layer : manifest->layers) {
        progress_.show(layer.digest, "Waiting", 0, 0);
    }
    // The configuration first: it is small, and everything waits for it.
    const auto fetched = for_each_parallel(
        manifest->layers.size() + 1, most_transfers, [&](std::size_t i, const std::atomic<bool>& stop) {
            return i == 0 ? fetch_blob(manifest->config, false, stop)
                          : fetch_blob(manifest->layers[i - 1], true, stop);
        });
    if (!fetched) {
        return fetched;
    }
    if (auto image = store_.load(document.descriptor, options_.platform, name_.familiar()); !image) {
        return std::unexpected(image.error());
    }
    return {};
}

Result<Descriptor> Puller::pull_one(const Descriptor& target) {
    const auto document = fetch_document(target.digest.text());
    if (!document) {
        return std::unexpected(document.error());
    }
    if (auto pulled = pull_manifest(*document); !pulled) {
        return std::unexpected(pulled.error());
    }
    auto descriptor = document->descriptor;
    descriptor.platform = target.platform;
    return descriptor;
}

Result<Descriptor> Puller::pull_all(const FetchedDocument& document) {
    const auto index = keep_index(document);
    if (!index) {
        return std::unexpected(index.error());
    }
    for (const auto& target : index->manifests) {
        if (target.kind() != Kind::manifest) {
            return fail(fmt::format("index of {}: an entry is of type '{}', which is not supported",
                                    name_.familiar(), target.media_type));
        }
        if (auto pulled = pull_one(target); !pulled) {
            return std::unexpected(pulled.error());
        }
    }
    return document.descriptor;
}

Result<Index> Puller::keep_index(const FetchedDocument& document) const {
    return Index::parse(document.text, document.descriptor.media_type,
                        fmt::format("index of {}", name_.familiar()));
}

Result<ImageEntry> Puller::pull() {
    const auto document = fetch_document(name_.digest ? name_.digest->text() : name_.tag);
    if (!document) {
        return std::unexpected(document.error());
    }
    ImageEntry entry{
        .target = document->descriptor, .name = name_, .repository_digest = document->descriptor.digest};
    if (document->descriptor.kind() == Kind::manifest) {
        if (auto pulled = pull_manifest(*document); !pulled) {
            return std::unexpected(pulled.error());
        }
        return entry;
    }
    if (options_.all_platforms) {
        auto target = pull_all(*document);
        if (!target) {
            return std::unexpected(target.error());
        }
        return entry;
    }
    const auto index = keep_index(*document);
    if (!index) {
        return std::unexpected(index.error());
    }
    const auto chosen = index->choose(options_.platform, name_.familiar());
    if (!chosen) {
        return std::unexpected(chosen.error());
    }
    auto target = pull_one(*chosen);
    if (!target) {
        return std::unexpected(target.error());
    }
    entry.target = std::move(*target);
    return entry;
}

} // namespace

Result<Pulled> pull_image(const Store& store, const Settings& settings, const Reference& name,
                          const PullOptions& options, Progress& progress) {
    auto lease = store.lease();
    if (!lease) {
        return std::unexpected(lease.error());
    }
    auto hosts = settings.of(name.registry).mirrors;
    hosts.push_back(name.registry);
    Result<ImageEntry> entry;
    for (const auto& host : hosts) {
        auto credentials = find_credentials(host);
        if (!credentials) {
            return std::unexpected(credentials.error());
        }
        RegistryClient client(settings, host, name.repository, Access::pull, std::move(*credentials));
        entry = Puller(store, *lease, client, name, options, progress).pull();
        if (entry) {
            break;
        }
    }
    if (!entry) {
        return std::unexpected(entry.error());
    }
    Pulled pulled{.entry = *entry};
    const auto named = store.update([&](ImageEntries& entries) -> Result<void> {
        pulled.is_new = std::ranges::none_of(entries, [&](const ImageEntry& other) {
            return other.name == entry->name && other.target.digest == entry->target.digest;
        });
        set_name(entries, std::move(*entry));
        return {};
    });
    if (!named) {
        return std::unexpected(named.error());
    }
    return pulled;
}

} // namespace strata::image
