#include "base/beside.hpp"

#include <climits>
#include <unistd.h>

namespace strata {

std::string path_beside(const std::string& name) {
    char own[PATH_MAX];
    const auto size = readlink("/proc/self/exe", own, sizeof own);
    const std::string path(own, size > 0 ? static_cast<std::size_t>(size) : 0);
    return path.substr(0, path.rfind('/') + 1) + name;
}

} // namespace strata
