// Checkpoint and restore, done by CRIU (criu.org), which must work on the host.
#pragma once

#include "container/runtime.hpp"

#include <string>
#include <vector>

namespace strata::container {

struct CheckpointOptions {
    std::string image_path = "checkpoint";
    std::string work_path;   // of CRIU's log; empty: image_path
    std::string parent_path; // of an earlier pre-dump, from image_path
    std::string page_server; // "ADDRESS:PORT"
    std::string manage_cgroups;
    std::string lsm_profile, lsm_mount_context; // for a restore: in the place of those that were saved
    std::optional<std::int64_t> status_fd;
    std::vector<std::string> empty_namespaces;
    bool leave_running = false, pre_dump = false, tcp_established = false, external_unix_sockets = false;
    bool shell_job = false, file_locks = false, lazy_pages = false, auto_dedup = false;
};

// Saves the container; unless it is left running, it is deleted then.
[[nodiscard]] Result<void> checkpoint_container(Runtime& runtime, const std::string& id,
                                                const CheckpointOptions& options);

// Makes a container of the images and of the bundle's configuration; the result as of Runtime::run().
[[nodiscard]] Result<int> restore_container(Runtime& runtime, const std::string& id,
                                            const CheckpointOptions& options, const CreateOptions& create,
                                            const RunOptions& how);

} // namespace strata::container
