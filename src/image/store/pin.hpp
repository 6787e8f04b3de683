// What something that outlives a process needs, a container above all: like a lease, but it holds until it is
// taken back.
#pragma once

#include "image/digest.hpp"

#include <string>
#include <vector>

namespace strata::image {

enum class PinEnd { removal, crash_of_the_host };

// From the return on the digests stay. `owner` is a plain file name, without a dot. What would not outlive a
// crash of the host either need not wait for the disk.
[[nodiscard]] Result<void> pin(const std::string& store, const std::string& owner,
                               const std::vector<Digest>& digests, PinEnd end = PinEnd::removal);
// Also what a process that was killed while it pinned has left.
void unpin(const std::string& store, const std::string& owner);

// The file with an owner's pins.
[[nodiscard]] std::string pin_path(const std::string& store, const std::string& owner);
// Who has pins, and what all of them hold.
[[nodiscard]] std::vector<std::string> pin_owners(const std::string& store);
[[nodiscard]] std::vector<Digest> pinned_digests(const std::string& store);

} // namespace strata::image
