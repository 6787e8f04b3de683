#include "image/store/unpacked.hpp"

#include "base/atomic_file.hpp"
#include "base/remove_tree.hpp"
#include "image/layer/unpack.hpp"
#include "image/privileges.hpp"
#include "image/registry/parallel.hpp"
#include "image/store/lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace strata::image {
namespace {

constexpr std::size_t most_unpackers = 2; // at one time: each takes a processor

std::string path_of(const Store& store, const Digest& chain) {
    return fmt::format("{}/layers/{}/{}", store.directory(), chain.algorithm(), chain.hex());
}

bool is_directory(const std::string& path) {
    struct stat status{};
    return lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool is_same_file(int fd, const std::string& path) {
    struct stat opened{}, named{};
    return fstat(fd, &opened) == 0 && lstat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

// A new directory in ingest/, locked so that nobody sweeps it away.
Result<FileDescriptor> open_work(const std::string& store, const std::string& path) {
    const auto lock = StoreLock::shared(store);
    if (!lock) {
        return std::unexpected(lock.error());
    }
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail_errno("make directory", path);
    }
    FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) {
        return fail_errno("open directory", path);
    }
    return directory;
}

Result<void> unpack_blob(const Store& store, const Descriptor& layer, const Digest& diff_id, int directory,
                         const UnpackOptions& options) {
    const auto file = store.blobs().open(layer.digest);
    if (!file) {
        return std::unexpected(file.error());
    }
    const auto name = "layer " + layer.digest.text();
    return unpack_layer(directory, file_source(file->get(), name), diff_id, name, options);
}

bool may_make_devices() { return is_privileged() && !in_user_namespace(); }

class LayerUnpacker {
public:
    LayerUnpacker(const Store& store, const Descriptor& layer, const Digest& diff_id, const Digest& chain)
        : store_(store), layer_(layer), diff_id_(diff_id), path_(path_of(store, chain)),
          work_(fmt::format("{}/ingest/layer-{}", store.directory(), chain.hex())) {}

    // One process unpacks, the others wait for it.
    Result<void> unpack() {
        while (!is_directory(path_)) {
            const auto directory = open_work(store_.directory(), work_);
            if (!directory) {
                return std::unexpected(directory.error());
            }
            if (!lock_waiting(directory->get())) {
                return fail_errno("lock directory", work_);
            }
            if (!is_same_file(directory->get(), work_)) {
                continue; // the one we waited for renamed it, or swept it away
            }
            return fill(directory->get());
        }
        return {};
    }

private:
    Result<void> fill(int directory) {
        const UnpackOptions options{.whiteouts = in_user_namespace() || !is_privileged()
                                                     ? Whiteouts::user_overlay
                                                     : Whiteouts::overlay,
                                    .owners = is_privileged(),
                                    .devices = may_make_devices()};
        auto done = empty(directory);
        done = done ? unpack_blob(store_, layer_, diff_id_, directory, options) : done;
        if (done && rename(work_.c_str(), path_.c_str()) != 0) {
            done = fail_errno("store layer", path_);
        }
        if (!done) {
            static_cast<void>(remove_tree(work_));
        }
        return done;
    }

    // A process that was killed may have left a part.
    Result<void> empty(int directory) {
        if (fchmod(directory, 0755) != 0) { // the root's mode where the layer has no entry for it
            return fail_errno("set the mode of", work_);
        }
        return remove_content(directory);
    }

    const Store& store_;
    const Descriptor& layer_;
    const Digest& diff_id_;
    std::string path_, work_;
};

} // namespace

Result<std::vector<std::string>> unpack_image(const Store& store, const Image& image, Lease& lease) {
    const auto& ids = image.config.diff_ids;
    const auto chain = chain_ids(ids);
    std::vector<std::string> paths;
    for (const auto& id : chain) {
        if (auto leased = lease.add(id); !leased) {
            return std::unexpected(leased.error());
        }
        paths.push_back(path_of(store, id));
    }
    for (const char* algorithm : {"/layers/sha256", "/layers/sha512"}) {
        if (auto made = make_directories(store.directory() + algorithm, 0700); !made) {
            return std::unexpected(made.error());
        }
    }
    const auto unpacked = for_each_parallel(
        chain.size(), most_unpackers, [&](std::size_t i, const std::atomic<bool>& /*stop*/) {
            return LayerUnpacker(store, image.manifest.layers[i], ids[i], chain[i]).unpack();
        });
    if (!unpacked) {
        return std::unexpected(unpacked.error());
    }
    return paths;
}

Result<void> unpack_image_into(const Store& store, const Image& image, int directory) {
    const UnpackOptions options{
        .whiteouts = Whiteouts::apply, .owners = is_privileged(), .devices = may_make_devices()};
    for (std::size_t i = 0; i < image.manifest.layers.size(); ++i) {
        if (auto done =
                unpack_blob(store, image.manifest.layers[i], image.config.diff_ids[i], directory, options);
            !done) {
            return done;
        }
    }
    return {};
}

} // namespace strata::image
