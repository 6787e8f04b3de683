// A file's lock that one process owns and any number look at without ever being in its way: an open file
// description's lock (fcntl(2), F_OFD_SETLK). The kernel frees it when the owner dies.
#pragma once

#include "base/file_descriptor.hpp"

namespace strata::instance {

// Takes the lock of an open file; false if another owns it. The file must be open for writing.
[[nodiscard]] bool own(const FileDescriptor& file);
// Whether somebody owns it through another open file.
[[nodiscard]] bool is_owned(const FileDescriptor& file);
// Until nobody owns it.
void wait_for_owner(const FileDescriptor& file);

} // namespace strata::instance
