// Bytes as a layer, unpacked into a directory in memory for each way of whiteouts; nothing beside it may
// change.
#include "base/file_descriptor.hpp"
#include "base/remove_tree.hpp"
#include "image/layer/unpack.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using namespace strata;
using namespace strata::image;

namespace {

// Two directories side by side: the target, and one that must stay empty.
struct Place {
    std::string path;
    FileDescriptor directory;

    Place() {
        std::string pattern =
            access("/dev/shm", W_OK) == 0 ? "/dev/shm/strata-fuzz-XXXXXX" : "/tmp/strata-fuzz-XXXXXX";
        path = mkdtemp(pattern.data());
        directory = FileDescriptor(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        mkdirat(directory.get(), "beside", 0700);
    }

    ~Place() { static_cast<void>(remove_tree(path)); }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Place place;
    for (const auto whiteouts : {Whiteouts::overlay, Whiteouts::apply}) {
        mkdirat(place.directory.get(), "target", 0700);
        const FileDescriptor target(
            openat(place.directory.get(), "target", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        bool given = false;
        const Source source = [&]() -> Result<std::span<const std::byte>> {
            return std::exchange(given, true) ? std::span<const std::byte>{}
                                              : std::span(reinterpret_cast<const std::byte*>(data), size);
        };
        static_cast<void>(unpack_layer(target.get(), source, Digest::of("x"), "input",
                                       {.whiteouts = whiteouts,
                                        .owners = geteuid() == 0,
                                        .devices = geteuid() == 0,
                                        .most_bytes = 1 << 20,
                                        .most_entries = 1000}));
        if (!remove_tree(place.directory.get(), "target") ||
            unlinkat(place.directory.get(), "beside", AT_REMOVEDIR) != 0 ||
            mkdirat(place.directory.get(), "beside", 0700) != 0) {
            std::abort(); // a file beside the target, or a target that cannot be removed
        }
    }
    return 0;
}
