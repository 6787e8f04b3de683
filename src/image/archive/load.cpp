#include "image/archive/load.hpp"

#include <archive_entry.h>
#include <array>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <map>

namespace strata::image {
namespace {

constexpr std::size_t most_files = 100'000;
constexpr int most_links = 40;

struct File {
    Digest digest;
    std::uint64_t size;
};

// The archive's files, each already a blob of the store, by their names in it.
struct Contents {
    std::map<std::string, File> files;
    std::map<std::string, std::string> links;

    [[nodiscard]] const File* find(std::string name) const {
        for (int i = 0; i < most_links; ++i) {
            if (const auto link = links.find(name); link != links.end()) {
                name = link->second;
            } else {
                const auto file = files.find(name);
                return file == files.end() ? nullptr : &file->second;
            }
        }
        return nullptr;
    }
};

std::string normal(const std::string& directory, const char* name) {
    const auto path = (std::filesystem::path(directory) / name).lexically_normal().string();
    return path.starts_with("./") ? path.substr(2) : path;
}

class Loader {
public:
    Loader(const Store& store, Lease& lease, std::string name)
        : store_(store), lease_(lease), name_(std::move(name)) {}

    Result<ImageEntries> load(Source source) {
        if (auto taken = take_in(std::move(source)); !taken) {
            return std::unexpected(taken.error());
        }
        if (const File* index = contents_.find("index.json")) {
            return load_layout(*index);
        }
        if (const File* manifest = contents_.find("manifest.json")) {
            return load_docker_archive(*manifest);
        }
        return fail(fmt::format("{} holds no images: neither index.json nor manifest.json is in it", name_),
                    "a root file system in a tar file becomes an image with strata import");
    }

private:
    Result<void> take_in(Source source);
    Result<void> take_file(TarReader& tar, const std::string& path);
    Result<ImageEntries> load_layout(const File& index);
    Result<ImageEntries> load_docker_archive(const File& file);
    Result<Descriptor> load_docker_image(const JsonNode& node);
    Result<Descriptor> describe_layer(const std::string& path, const Digest& diff_id);
    Result<void> check(const Descriptor& target) const;

    const Store& store_;
    Lease& lease_;
    std::string name_;
    Contents contents_;
};

Result<void> Loader::take_file(TarReader& tar, const std::string& path) {
    auto blob = store_.blobs().begin();
    if (!blob) {
        return std::unexpected(blob.error());
    }
    while (true) {
        const auto block = tar.read();
        if (!block) {
            return std::unexpected(block.error());
        }
        if (block->offset != blob->size() && !block->data.empty()) {
            return fail(fmt::format("{}: {} is a sparse file", name_, path));
        }
        if (block->data.empty()) {
            break;
        }
        if (auto written = blob->write(block->data); !written) {
            return written;
        }
    }
    const auto size = blob->size();
    auto digest = blob->commit(lease_);
    if (!digest) {
        return std::unexpected(digest.error());
    }
    contents_.files[path] = {std::move(*digest), size};
    return {};
}

Result<void> Loader::take_in(Source source) {
    auto plain = decompressed(std::move(source), name_);
    if (!plain) {
        return std::unexpected(plain.error());
    }
    auto tar = TarReader::open(std::move(*plain), name_);
    if (!tar) {
        return std::unexpected(tar.error());
    }
    for (std::size_t count = 0;; ++count) {
        const auto entry = tar->next();
        if (!entry) {
            return std::unexpected(entry.error());
        }
        if (*entry == nullptr) {
            return {};
        }
        if (count == most_files) {
            return fail(fmt::format("{} has more than {} files", name_, most_files));
        }
        const char* entry_name = archive_entry_pathname(*entry);
        const auto path = normal("", entry_name != nullptr ? entry_name : "");
        const auto directory = std::filesystem::path(path).parent_path().string();
        if (const char* target = archive_entry_hardlink(*entry)) {
            contents_.links[path] = normal("", target);
        } else if (const char* link = archive_entry_symlink(*entry)) {
            contents_.links[path] = normal(directory, link);
        } else if (archive_entry_filetype(*entry) == AE_IFREG) {
            if (auto taken = take_file(*tar, path); !taken) {
                return taken;
            }
        }
    }
}

// The name that an image has in a layout; a word alone is a tag of something unknown.
std::optional<Reference> name_of(const Descriptor& descriptor) {
    for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
        const auto found = descriptor.annotations.find(key);
        if (found != descriptor.annotations.end() && found->second.find_first_of("/:") != std::string::npos) {
            if (auto reference = Reference::parse(found->second)) {
                return std::move(*reference);
            }
        }
    }
    return std::nullopt;
}

// An image counts when all of it is there; of an index at least one image must be.
Result<void> Loader::check(const Descriptor& target) const {
    const auto images = store_.load_all(target, name_);
    if (!images) {
        return std::unexpected(images.error());
    }
    if (images->empty()) {
        return fail(fmt::format("{}: the content of {} is missing", name_, target.digest.text()));
    }
    for (const auto& image : *images) {
        for (const auto& layer : image.manifest.layers) {
            if (!store_.blobs().contains(layer.digest)) {
                return fail(fmt::format("{}: layer {} is missing", name_, layer.digest.text()));
            }
        }
    }
    return {};
}

Result<ImageEntries> Loader::load_layout(const File& index) {
    const auto text = store_.blobs().read_document(index.digest);
    if (!text) {
        return std::unexpected(text.error());
    }
    const auto parsed = Index::parse(*text, media_type::oci_index, name_ + ": index.json");
    if (!parsed) {
        return std::unexpected(parsed.error());
    }
    ImageEntries entries;
    for (const auto& descriptor : parsed->manifests) {
        if (auto checked = check(descriptor); !checked) {
            return std::unexpected(checked.error());
        }
        entries.push_back({.target = {.media_type = descriptor.media_type,
                                      .digest = descriptor.digest,
                                      .size = descriptor.size,
                                      .platform = descriptor.platform},
                           .name = name_of(descriptor)});
    }
    return entries;
}

Result<Compression> compression_of(const Blobs& blobs, const Digest& digest) {
    const auto file = blobs.open(digest);
    if (!file) {
        return std::unexpected(file.error());
    }
    std::array<unsigned char, 4> magic{};
    if (pread(file->get(), magic.data(), magic.size(), 0) < 0) {
        return fail_errno("read blob", digest.text());
    }
    if (magic[0] == 0x1f && magic[1] == 0x8b) {
        return Compression::gzip;
    }
    constexpr std::array<unsigned char, 4> zstd{0x28, 0xb5, 0x2f, 0xfd};
    return magic == zstd ? Compression::zstd : Compression::none;
}

Result<Descriptor> Loader::describe_layer(const std::string& path, const Digest& diff_id) {
    const File* file = contents_.find(normal("", path.c_str()));
    if (file == nullptr) {
        return fail(fmt::format("{}: layer {} is missing", name_, path));
    }
    const auto compression = compression_of(store_.blobs(), file->digest);
    if (!compression) {
        return std::unexpected(compression.error());
    }
    if (*compression == Compression::none && file->digest != diff_id) {
        return fail(fmt::format("{}: layer {} has the digest {}, not {} as the configuration says", name_,
                                path, file->digest.text(), diff_id.text()));
    }
    return Descriptor{.media_type = std::string(layer_media_type(*compression)),
                      .digest = file->digest,
                      .size = file->size};
}

Result<Descriptor> Loader::load_docker_image(const JsonNode& node) {
    const auto config_path = node.at("Config").string();
    const auto layer_paths = node.at("Layers").strings();
    const File* config_file = contents_.find(normal("", config_path.c_str()));
    if (config_file == nullptr) {
        return fail(fmt::format("{}: configuration '{}' is missing", name_, config_path));
    }
    const auto text = store_.blobs().read_document(config_file->digest);
    if (!text) {
        return std::unexpected(text.error());
    }
    const auto config = Config::parse(*text, fmt::format("{}: {}", name_, config_path));
    if (!config) {
        return std::unexpected(config.error());
    }
    if (config->diff_ids.size() != layer_paths.size()) {
        return fail(fmt::format("{}: manifest.json has {} layers, the configuration's rootfs.diff_ids {}",
                                name_, layer_paths.size(), config->diff_ids.size()));
    }
    Manifest manifest{.config = {.media_type = std::string(media_type::oci_config),
                                 .digest = config_file->digest,
                                 .size = config_file->size}};
    for (std::size_t i = 0; i < layer_paths.size(); ++i) {
        auto layer = describe_layer(layer_paths[i], config->diff_ids[i]);
        if (!layer) {
            return std::unexpected(layer.error());
        }
        manifest.layers.push_back(std::move(*layer));
    }
    const auto document = manifest.text();
    auto target = describe(manifest.media_type, document);
    if (auto written = store_.blobs().write_document(target.digest, document, lease_); !written) {
        return std::unexpected(written.error());
    }
    target.platform = config->platform;
    return target;
}

Result<ImageEntries> Loader::load_docker_archive(const File& file) {
    const auto text = store_.blobs().read_document(file.digest);
    if (!text) {
        return std::unexpected(text.error());
    }
    JsonReader reader(name_ + ": manifest.json");
    ImageEntries entries;
    for (const auto& node : reader.parse(*text).items()) {
        const auto tags = node.find("RepoTags").strings();
        auto target = load_docker_image(node);
        if (reader.error()) {
            return std::unexpected(*reader.error());
        }
        if (!target) {
            return std::unexpected(target.error());
        }
        for (const auto& tag : tags) {
            auto name = Reference::parse(tag);
            if (!name) {
                return std::unexpected(name.error());
            }
            entries.push_back({.target = *target, .name = std::move(*name)});
        }
        if (tags.empty()) {
            entries.push_back({.target = std::move(*target)});
        }
    }
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return entries;
}

} // namespace

Result<ImageEntries> load_archive(const Store& store, Source source, const std::string& name) {
    auto lease = store.lease();
    if (!lease) {
        return std::unexpected(lease.error());
    }
    auto entries = Loader(store, *lease, name).load(std::move(source));
    if (!entries) {
        return entries;
    }
    const auto named = store.update([&](ImageEntries& all) -> Result<void> {
        for (const auto& entry : *entries) {
            set_name(all, entry);
        }
        return {};
    });
    if (!named) {
        return std::unexpected(named.error());
    }
    return entries;
}

} // namespace strata::image
