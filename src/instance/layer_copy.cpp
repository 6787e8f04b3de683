#include "instance/layer_copy.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"
#include "base/remove_tree.hpp"
#include "image/store/unpacked.hpp"
#include "instance/copy_changes.hpp"
#include "instance/owner_lock.hpp"
#include "instance/root_filesystem.hpp"

#include <fcntl.h>

namespace strata::instance {
namespace {

Result<void> unpack_into(const Instances& instances, const Instance& instance, const std::string& path) {
    const auto store = image::Store::open(instances.store_directory());
    const auto image = store ? store->find(instance.settings.image_id, {}) : std::unexpected(store.error());
    const auto loaded = image ? store->load(image->target, image::Platform::host(), instance.settings.image)
                              : Result<image::Image>(std::unexpected(image.error()));
    if (!loaded) {
        return std::unexpected(loaded.error());
    }
    const FileDescriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return directory ? image::unpack_image_into(*store, *loaded, directory.get())
                     : fail_errno("open directory", path);
}

} // namespace

Result<void> copy_layers(const Instances& instances, const Instance& instance) {
    const FileDescriptor lock(
        open(instances.path(instance, "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock || !own(lock)) {
        return fail("the container is being started, or runs already");
    }
    if (is_copied(instances, instance)) {
        return {};
    }
    const auto whole = copy_of_layers(instances, instance), half = whole + ".half";
    auto done = remove_tree(half); // of one who was killed
    done = done ? make_directories(half, 0755) : done;
    done = done ? unpack_into(instances, instance, half) : done;
    done = done ? list_files(half, list_of_copy(instances, instance)) : done;
    if (done && rename(half.c_str(), whole.c_str()) != 0) {
        done = fail_errno("make", whole);
    }
    return done;
}

} // namespace strata::instance
