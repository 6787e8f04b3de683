#include "base/file.hpp"

#include "base/open_file.hpp"

#include <sys/stat.h>

namespace strata {

Result<std::vector<std::byte>> read_file(const std::string& path, std::string_view what,
                                         std::uint64_t limit) {
    const std::string object = std::string(what) + " " + path;
    const auto file = open_to_read(path, what);
    if (!file) {
        return std::unexpected(file.error());
    }
    struct stat status{};
    if (fstat(file->get(), &status) != 0) {
        return fail_errno("read", object);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > limit) {
        return fail(object + " has " + std::to_string(size) + " bytes, more than the " +
                    std::to_string(limit) + " that fit");
    }
    std::vector<std::byte> contents(size);
    std::size_t done = 0;
    while (done < contents.size()) {
        const auto got = read(file->get(), contents.data() + done, contents.size() - done);
        if (got < 0 && errno != EINTR) {
            return fail_errno("read", object);
        }
        if (got == 0) {
            contents.resize(done); // it became shorter meanwhile
        }
        done += got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    return contents;
}

} // namespace strata
