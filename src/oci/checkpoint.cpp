#include "container/lifecycle/checkpoint.hpp"
#include "oci/command.hpp"

namespace strata::oci {
namespace {

void declare(Arguments& arguments, container::CheckpointOptions& options) {
    arguments.text("--image-path", options.image_path,
                   "the directory of the checkpoint (default: checkpoint)");
    arguments.text("--work-path", options.work_path,
                   "the directory of CRIU's log (default: that of the checkpoint)");
    arguments.text("--parent-path", options.parent_path, "an earlier pre-dump to build on");
    arguments.flag("--leave-running", options.leave_running, "let the container go on");
    arguments.flag("--pre-dump", options.pre_dump, "save memory only, and let the container go on");
    arguments.flag("--tcp-established", options.tcp_established, "also with open TCP connections");
    arguments.flag("--ext-unix-sk", options.external_unix_sockets, "also with sockets to outside");
    arguments.flag("--shell-job", options.shell_job, "also with a terminal");
    arguments.flag("--file-locks", options.file_locks, "also with file locks");
    arguments.flag("--lazy-pages", options.lazy_pages, "serve memory on demand");
    arguments.flag("--auto-dedup", options.auto_dedup, "keep each page once");
    arguments.text("--page-server", options.page_server, "ADDRESS:PORT of a page server");
    arguments.text("--manage-cgroups-mode", options.manage_cgroups, "soft, full, strict or ignore");
    arguments.list("--empty-ns", options.empty_namespaces, "a kind of namespace to leave empty");
    arguments.number("--status-fd", options.status_fd, "a descriptor that hears when lazy pages are ready");
}

} // namespace

Result<int> checkpoint(container::Runtime& runtime, Words words) {
    Arguments arguments("checkpoint [OPTION...] ID",
                        "Saves a running container to disk with CRIU, and ends it.");
    container::CheckpointOptions options;
    declare(arguments, options);
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    return status_of(checkpoint_container(runtime, rest->front(), options));
}

Result<int> restore(container::Runtime& runtime, Words words) {
    Arguments arguments("restore [OPTION...] ID", "Makes a container from a checkpoint, with CRIU.");
    container::CheckpointOptions options;
    CreateFlags flags;
    container::RunOptions how;
    bool no_subreaper = false;
    declare(arguments, options);
    flags.declare(arguments);
    arguments.flag("--detach,-d", how.detach, "return when it runs");
    arguments.text("--lsm-profile", options.lsm_profile, "TYPE:NAME of another profile, as in apparmor:NAME");
    arguments.text("--lsm-mount-context", options.lsm_mount_context, "another SELinux context of mounts");
    arguments.flag("--no-subreaper", no_subreaper, "do not become the parent of orphans of the container");
    const auto rest = arguments.parse(words, 1, 1);
    if (!rest || arguments.helped()) {
        return rest ? Result<int>(0) : std::unexpected(rest.error());
    }
    how.subreaper = !no_subreaper;
    const auto create = flags.finish();
    return create ? restore_container(runtime, rest->front(), options, *create, how)
                  : std::unexpected(create.error());
}

} // namespace strata::oci
