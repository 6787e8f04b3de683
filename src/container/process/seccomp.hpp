// System call filters: compiled before the process is made, loaded by it as late as can be.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/config/config.hpp"

#include <linux/filter.h>
#include <vector>

namespace strata::container {

struct SeccompProgram {
    std::vector<sock_filter> instructions;
    unsigned flags = 0; // SECCOMP_FILTER_FLAG_*
    bool notifies = false;
};

[[nodiscard]] Result<SeccompProgram> compile_seccomp(const Seccomp& seccomp);

// Of the calling process. The descriptor is the filter's listener, or empty without notification.
[[nodiscard]] Result<FileDescriptor> load_seccomp(const SeccompProgram& program);

} // namespace strata::container
