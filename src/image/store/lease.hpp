// What a process is about to use, so that no other process removes it: a file of digests, locked while its
// owner lives. A lease whose owner was killed counts no longer.
#pragma once

#include "base/file_descriptor.hpp"
#include "image/digest.hpp"

#include <mutex>
#include <string>
#include <vector>

namespace strata::image {

class Lease {
public:
    [[nodiscard]] static Result<Lease> take(const std::string& store);
    ~Lease();
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // From the return on the blob, or the unpacked layer, stays if it is there. Any thread.
    [[nodiscard]] Result<void> add(const Digest& digest);

private:
    Lease(std::string store, std::string path, FileDescriptor file)
        : store_(std::move(store)), path_(std::move(path)), file_(std::move(file)) {}

    std::string store_, path_;
    FileDescriptor file_;
};

// The digests of all leases whose owner lives; removes the others. The caller holds the store's lock alone.
[[nodiscard]] Result<std::vector<Digest>> leased_digests(const std::string& store);

} // namespace strata::image
