#include "base/beside.hpp"

#include <filesystem>

namespace strata {

std::string path_beside(const std::string& name) {
    std::error_code ignored;
    return std::filesystem::read_symlink("/proc/self/exe", ignored).replace_filename(name);
}

} // namespace strata
