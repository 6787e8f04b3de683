#include "image/archive/save.hpp"

#include "image/layer/tar_writer.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace strata::image {
namespace {

std::string blob_name(const Digest& digest) {
    return fmt::format("blobs/{}/{}", digest.algorithm(), digest.hex());
}

class Saver {
public:
    Saver(const Store& store, Lease& lease, Sink sink)
        : store_(store), lease_(lease), tar_(std::move(sink)) {}

    Result<void> save(const ImageEntries& entries) {
        for (const auto& entry : entries) {
            if (auto added = add(entry); !added) {
                return added;
            }
        }
        return write();
    }

private:
    Result<void> add(const ImageEntry& entry);
    void add_to_docker_manifest(const ImageEntry& entry, const Image& image);
    Result<void> need(const Digest& digest);
    Result<void> write();
    Result<void> write_blob(const Digest& digest);

    const Store& store_;
    Lease& lease_;
    TarWriter tar_;
    Index index_;
    std::map<Digest, Json> docker_manifest_;
    std::vector<Digest> blobs_;
};

Result<void> Saver::need(const Digest& digest) {
    if (std::ranges::find(blobs_, digest) == blobs_.end()) {
        blobs_.push_back(digest);
    }
    return lease_.add(digest);
}

void Saver::add_to_docker_manifest(const ImageEntry& entry, const Image& image) {
    auto [place, added] = docker_manifest_.try_emplace(image.target.digest, Json::object());
    auto& document = place->second;
    if (added) {
        document = {
            {"Config", blob_name(image.id())}, {"RepoTags", Json::array()}, {"Layers", Json::array()}};
        for (const auto& layer : image.manifest.layers) {
            document["Layers"].push_back(blob_name(layer.digest));
        }
    }
    if (entry.name && !entry.name->tag.empty()) {
        document["RepoTags"].push_back(entry.name->familiar_name() + ":" + entry.name->tag);
    }
}

Result<void> Saver::add(const ImageEntry& entry) {
    const auto name = entry.name ? entry.name->familiar() : entry.target.digest.text();
    const auto images = store_.load_all(entry.target, name);
    if (!images) {
        return std::unexpected(images.error());
    }
    if (auto needed = need(entry.target.digest); !needed) {
        return needed;
    }
    for (const auto& image : *images) {
        for (const Digest& digest : {image.target.digest, image.id()}) {
            if (auto needed = need(digest); !needed) {
                return needed;
            }
        }
        for (const auto& layer : image.manifest.layers) {
            if (auto needed = need(layer.digest); !needed) {
                return needed;
            }
        }
    }
    if (const auto image = store_.load(entry.target, Platform::host(), name)) {
        add_to_docker_manifest(entry, *image);
    } else if (!images->empty()) {
        add_to_docker_manifest(entry, images->front());
    }
    auto descriptor = entry.target;
    if (entry.name) {
        descriptor.annotations["io.containerd.image.name"] = entry.name->text();
        descriptor.annotations["org.opencontainers.image.ref.name"] = entry.name->text();
    }
    index_.manifests.push_back(std::move(descriptor));
    return {};
}

Result<void> Saver::write_blob(const Digest& digest) {
    const auto file = store_.blobs().open(digest);
    if (!file) {
        return std::unexpected(file.error());
    }
    struct stat status{};
    if (fstat(file->get(), &status) != 0) {
        return fail_errno("read blob", digest.text());
    }
    return tar_.add_file(blob_name(digest), static_cast<std::uint64_t>(status.st_size),
                         file_source(file->get(), digest.text()));
}

Result<void> Saver::write() {
    Json docker = Json::array();
    for (auto& [digest, document] : docker_manifest_) {
        docker.push_back(std::move(document));
    }
    const std::pair<const char*, std::string> documents[] = {
        {"oci-layout", R"({"imageLayoutVersion":"1.0.0"})"},
        {"index.json", index_.text()},
        {"manifest.json", dump(docker)},
    };
    for (const auto& [name, text] : documents) {
        if (auto added = tar_.add_file(name, text); !added) {
            return added;
        }
    }
    for (const auto& digest : blobs_) {
        if (auto written = write_blob(digest); !written) {
            return written;
        }
    }
    return tar_.finish();
}

} // namespace

Result<void> save_archive(const Store& store, const ImageEntries& entries, Sink sink) {
    auto lease = store.lease();
    if (!lease) {
        return std::unexpected(lease.error());
    }
    return Saver(store, *lease, std::move(sink)).save(entries);
}

} // namespace strata::image
