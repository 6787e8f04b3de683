#include "vm/control/machine_name.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::vm::control {
namespace {

bool is_letter_or_digit(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

bool is_name(std::string_view name) {
    constexpr std::size_t longest = 40;
    return !name.empty() && name.size() <= longest && is_letter_or_digit(name.front()) &&
           std::ranges::all_of(
               name, [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

std::string runtime_folder() {
    const char* given = std::getenv("XDG_RUNTIME_DIR");
    if (given != nullptr && *given == '/') {
        return std::string(given) + "/strata";
    }
    return ::getuid() == 0 ? "/run/strata" : "/tmp/strata-" + std::to_string(::getuid());
}

std::string socket_folder() { return runtime_folder() + "/machines"; }

// A folder that nobody else can write to: in /tmp, another user may have been there first.
Result<void> make_own_folder(const std::string& path) {
    constexpr mode_t owner_only = 0700, others_write = 0022;
    if (::mkdir(path.c_str(), owner_only) != 0 && errno != EEXIST) {
        return fail_errno("make", path, errno, "set XDG_RUNTIME_DIR to a folder of your own");
    }
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != ::getuid() ||
        (status.st_mode & others_write) != 0) {
        return fail(path + " is not a folder of this user alone", "set XDG_RUNTIME_DIR to one that is");
    }
    return {};
}

} // namespace

Result<std::string> socket_path(std::string_view name) {
    if (!is_name(name)) {
        return fail("'" + std::string(name) + "' is no name for a machine",
                    "use letters, digits, '.', '_' and '-', up to 40, a letter or digit first");
    }
    return socket_folder() + "/" + std::string(name) + ".sock";
}

Result<void> make_socket_folder() {
    for (const auto& each : {runtime_folder(), socket_folder()}) {
        if (auto made = make_own_folder(each); !made) {
            return made;
        }
    }
    return {};
}

Result<FileDescriptor> lock_socket_folder() {
    const std::string path = socket_folder();
    FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int locked = folder ? ::flock(folder.get(), LOCK_EX) : -1;
    while (locked != 0 && errno == EINTR) {
        locked = ::flock(folder.get(), LOCK_EX);
    }
    if (locked != 0) {
        return fail_errno("lock", path);
    }
    return folder;
}

} // namespace strata::vm::control
