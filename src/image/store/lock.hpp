// The lock of a store, between processes: whoever removes holds it alone, whoever adds or relies on something
// shares it for the moment that takes. The kernel frees it when its holder dies.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <string>

namespace strata::image {

class StoreLock {
public:
    [[nodiscard]] static Result<StoreLock> shared(const std::string& store);
    [[nodiscard]] static Result<StoreLock> exclusive(const std::string& store);

private:
    [[nodiscard]] static Result<StoreLock> take(const std::string& store, int operation);

    explicit StoreLock(FileDescriptor file) : file_(std::move(file)) {}

    FileDescriptor file_;
};

// Locks an open file for its holder alone: waits for another holder, or returns false at once.
[[nodiscard]] bool lock_waiting(int fd);
[[nodiscard]] bool lock_if_free(int fd);

} // namespace strata::image
