#include "instance/unfinished_mark.hpp"

#include "instance/owner_lock.hpp"

#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::instance {
namespace {

std::string path_of(const std::string& directory, const std::string& id) {
    return directory + "/unfinished/" + id;
}

} // namespace

void UnfinishedMark::clear() {
    unlink(path_.c_str());
    file_.reset(); // one who has opened it before waits for its owner
}

std::optional<UnfinishedMark> UnfinishedMark::take(const std::string& directory, const std::string& id,
                                                   FileDescriptor file) {
    struct stat status{};
    if (!own(file) || fstat(file.get(), &status) != 0 || status.st_nlink == 0) {
        return std::nullopt;
    }
    return UnfinishedMark(path_of(directory, id), id, std::move(file));
}

Result<UnfinishedMark> UnfinishedMark::set(const std::string& directory, const std::string& id) {
    while (true) {
        FileDescriptor file(open(path_of(directory, id).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!file) {
            return fail_errno("make", path_of(directory, id));
        }
        wait_for_owner(file);
        if (auto mark = take(directory, id, std::move(file))) {
            return std::move(*mark);
        }
    }
}

std::vector<UnfinishedMark> UnfinishedMark::abandoned(const std::string& directory) {
    std::vector<UnfinishedMark> marks;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/unfinished", ignored)) {
        const std::string id = entry.path().filename();
        FileDescriptor file(open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
        if (!file) {
            continue; // finished meanwhile
        }
        if (auto mark = take(directory, id, std::move(file))) {
            marks.push_back(std::move(*mark));
        }
    }
    return marks;
}

} // namespace strata::instance
