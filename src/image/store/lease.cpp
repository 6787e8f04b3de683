#include "image/store/lease.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "image/store/lock.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>

namespace strata::image {
namespace {

constexpr std::uint64_t longest_lease = 64U << 20;

std::string directory_of_leases(const std::string& store) { return store + "/leases"; }

void read_lease(const std::string& path, std::vector<Digest>& digests) {
    const auto content = read_file(path, "lease", longest_lease);
    if (!content) {
        return; // its owner removed it meanwhile
    }
    std::string_view text(reinterpret_cast<const char*>(content->data()), content->size());
    while (!text.empty()) {
        const auto end = text.find('\n');
        if (auto digest = Digest::parse(text.substr(0, end))) {
            digests.push_back(std::move(*digest));
        }
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
}

} // namespace

Result<Lease> Lease::take(const std::string& store) {
    const auto lock = StoreLock::shared(store); // nobody looks for dead leases before this one is locked
    if (!lock) {
        return std::unexpected(lock.error());
    }
    std::string path = directory_of_leases(store) + "/XXXXXX";
    FileDescriptor file(mkostemp(path.data(), O_APPEND | O_CLOEXEC));
    if (!file || !lock_waiting(file.get())) {
        return fail_errno("take a lease in", store);
    }
    return Lease(store, std::move(path), std::move(file));
}

Lease::~Lease() {
    if (file_) {
        unlink(path_.c_str());
    }
}

Result<void> Lease::add(const Digest& digest) {
    const auto lock = StoreLock::shared(store_);
    if (!lock) {
        return std::unexpected(lock.error());
    }
    return write_all(file_.get(), digest.text() + "\n", path_);
}

Result<std::vector<Digest>> leased_digests(const std::string& store) {
    std::vector<Digest> digests;
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(directory_of_leases(store), failure)) {
        const auto path = entry.path().string();
        const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (file && lock_if_free(file.get())) {
            unlink(path.c_str());
        } else {
            read_lease(path, digests);
        }
    }
    if (failure) {
        return fail_errno("read the leases of", store, failure.value());
    }
    return digests;
}

} // namespace strata::image
