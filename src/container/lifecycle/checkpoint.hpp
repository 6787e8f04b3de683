// Checkpoint and restore, done by CRIU (criu.org), which must work on the host.
#pragma once

#include "container/runtime.hpp"

#include <string>
#include <vector>

namespace strata::container {

struct CheckpointOptions {
    std::string image_path = "checkpoint", work_path, parent_path, page_server, manage_cgroups, status_fd;
    std::vector<std::string> empty_namespaces;
    bool leave_running = false, pre_dump = false, tcp_established = false, external_unix_sockets = false;
    bool shell_job = false, file_locks = false, lazy_pages = false, auto_dedup = false;
};

[[nodiscard]] Result<void> checkpoint_container(Runtime& runtime, const std::string& id,
                                                const CheckpointOptions& options);

// The exit status, as of Runtime::run().
[[nodiscard]] Result<int> restore_container(Runtime& runtime, const std::string& id,
                                            const CheckpointOptions& options, const CreateOptions& create,
                                            bool detach);

// Why CRIU cannot be used here, in its own words; nothing if it can.
[[nodiscard]] Result<void> check_criu();

} // namespace strata::container
