// What this process may do with owners and devices of files: root in the first user namespace may all of it.
#pragma once

namespace strata::image {

// Whether this process may set owners as archives say: root, in the first user namespace or in one that has
// more than its own ID.
[[nodiscard]] bool is_privileged();
// Whether this process is in a user namespace that is not the first.
[[nodiscard]] bool in_user_namespace();

} // namespace strata::image
