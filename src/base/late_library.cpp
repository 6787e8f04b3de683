#include "base/late_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

namespace strata {

Result<LateLibrary> LateLibrary::open(const std::string& name, const std::string& package) {
    void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        return fail(fmt::format("cannot load a library: {}", dlerror()),
                    fmt::format("it is in Debian's package {}", package));
    }
    return LateLibrary(handle, name);
}

void* LateLibrary::look_up(const char* symbol) {
    void* found = dlsym(handle_, symbol);
    if (found == nullptr && missing_.empty()) {
        missing_ = symbol;
    }
    return found;
}

Result<void> LateLibrary::complete() const {
    if (!missing_.empty()) {
        return fail(fmt::format("{} has no {}", name_, missing_),
                    "install the version that Strata was built for");
    }
    return {};
}

} // namespace strata
