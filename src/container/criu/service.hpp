// CRIU (criu.org) as a service that answers one request: `criu swrk`, asked over a socket as its
// images/rpc.proto says. Of its two interfaces this is the one that hands over descriptors, and tells at each
// step how far it is.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"
#include "container/criu/message.hpp"

#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace strata::container {

// Numbers of rpc.proto: kinds of requests, fields of messages, modes.
namespace criu {

enum Kind : std::uint8_t { dump = 1, restore = 2, check = 3, pre_dump = 4, notify = 6 };

namespace request {
constexpr unsigned type = 1, opts = 2, notify_success = 3;
}

namespace response {
constexpr unsigned type = 1, success = 2, restore = 4, notify = 5;
}

namespace restored {
constexpr unsigned pid = 1;
}

namespace notification {
constexpr unsigned script = 1, pid = 2;
}

namespace opts {
constexpr unsigned images_dir_fd = 1, pid = 2, leave_running = 3, ext_unix_sk = 4, tcp_established = 5,
                   evasive_devices = 6, shell_job = 7, file_locks = 8, log_level = 9, log_file = 10, ps = 11,
                   notify_scripts = 12, root = 13, parent_img = 14, track_mem = 15, auto_dedup = 16,
                   work_dir_fd = 17, ext_mnt = 23, manage_cgroups = 24, cg_root = 25, rst_sibling = 26,
                   inherit_fd = 27, manage_cgroups_mode = 34, external = 37, empty_ns = 38, join_ns = 39,
                   freeze_cgroup = 44, lazy_pages = 48, status_fd = 49, orphan_pts_master = 50,
                   config_file = 51, lsm_profile = 53, lsm_mount_context = 63;
}

namespace page_server {
constexpr unsigned address = 1, port = 2;
}

// Of ext_mount_map, inherit_fd, cgroup_root and join_namespace alike.
namespace pair {
constexpr unsigned key = 1, value = 2;
}

} // namespace criu

// What CRIU tells before it goes on: the step ("post-restore"), the root process as this process sees it, and
// with "orphan-pts-master" the terminal's master.
struct CriuNotification {
    std::string step;
    pid_t pid;
    FileDescriptor descriptor;
};

struct CriuRequest {
    criu::Kind kind;
    MessageWriter options;
    std::vector<int> inherited{}; // descriptors that CRIU gets under the same numbers
    // CRIU's process, before it begins; what it is asked can still be added to.
    std::function<Result<void>(pid_t, MessageWriter& options)> on_process = {};
    std::function<Result<void>(CriuNotification)> on_notification = {};
};

// CRIU's answer; an error if there is no CRIU, or if it did not do what was asked, which `code` ECANCELED
// tells.
[[nodiscard]] Result<MessageReader> ask_criu(CriuRequest request);

// Why CRIU cannot be used here, in its own words; nothing if it can.
[[nodiscard]] Result<void> check_criu();

// The line of the first error in a log of CRIU's.
[[nodiscard]] std::string first_error(const std::string& log);

} // namespace strata::container
