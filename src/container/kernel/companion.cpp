#include "container/kernel/companion.hpp"

#include "base/beside.hpp"

#include <utility>

namespace strata::container {
namespace {

std::string& known_directory() {
    static std::string directory;
    return directory;
}

} // namespace

void set_companion_directory(std::string directory) { known_directory() = std::move(directory); }

std::string companion_path(const std::string& name) {
    return known_directory().empty() ? path_beside(name) : known_directory() + name;
}

} // namespace strata::container
