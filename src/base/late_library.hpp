// A shared library that only some commands need, loaded when one of them does. As a part of the program it
// would cost each start of each command the loader's work for it and for all that it needs in turn: thirty
// libraries for libcurl.
#pragma once

#include "base/error.hpp"

#include <string>

namespace strata {

// What is loaded stays loaded until the process ends. To be opened before the process changes its root
// directory or confines itself: what would be found then is not the host's.
class LateLibrary {
public:
    // `name` with its version, as in libslirp.so.0. Debian has it in `package`, which the error's hint names.
    [[nodiscard]] static Result<LateLibrary> open(const std::string& name, const std::string& package);

    // Sets `function` to what the library has by this name. A missing one is a failure of the whole.
    template <typename Function>
    LateLibrary& find(const char* symbol, Function*& function) {
        function = reinterpret_cast<Function*>(look_up(symbol));
        return *this;
    }

    // The first symbol that was not found.
    [[nodiscard]] Result<void> complete() const;

private:
    LateLibrary(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}

    void* look_up(const char* symbol);

    void* handle_;
    std::string name_, missing_{};
};

} // namespace strata
