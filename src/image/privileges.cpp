#include "image/privileges.hpp"

#include <cstdint>
#include <fstream>
#include <unistd.h>

namespace strata::image {
namespace {

// How many IDs this process's user namespace has: user_namespaces(7). The first has all.
std::uint64_t mapped_ids() {
    std::ifstream map("/proc/self/uid_map");
    std::uint64_t inside = 0, outside = 0, count = 0, all = 0;
    while (map >> inside >> outside >> count) {
        all += count;
    }
    return all;
}

} // namespace

bool is_privileged() { return geteuid() == 0 && mapped_ids() > 1; }

bool in_user_namespace() { return mapped_ids() != UINT32_MAX; }

} // namespace strata::image
