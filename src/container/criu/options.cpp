#include "container/criu/options.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <sched.h>

namespace strata::container {
namespace {

// rpc.proto's criu_cg_mode.
constexpr std::pair<std::string_view, unsigned> cgroup_modes[] = {{"ignore", 0}, {"none", 1}, {"props", 2},
                                                                  {"soft", 3},   {"full", 4}, {"strict", 5}};

Result<FileDescriptor> open_directory(std::string& path, bool make) {
    if (make) {
        if (auto made = make_directories(path, 0700); !made) {
            return std::unexpected(made.error());
        }
    }
    char resolved[PATH_MAX];
    FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::realpath(path.c_str(), resolved) == nullptr) {
        return fail_errno("open", "the checkpoint " + path);
    }
    path = resolved;
    return directory;
}

Result<MessageWriter> page_server(const std::string& place) {
    const auto colon = place.rfind(':');
    unsigned port = 0;
    const char* end = place.data() + place.size();
    const bool good = colon != std::string::npos && colon > 0 &&
                      std::from_chars(place.data() + colon + 1, end, port).ptr == end && port > 0 &&
                      port < 65536;
    if (!good) {
        return fail("--page-server: '" + place + "' is not ADDRESS:PORT");
    }
    MessageWriter server;
    server.text(criu::page_server::address, place.substr(0, colon));
    server.number(criu::page_server::port, port);
    return server;
}

Result<void> add_cgroup_mode(MessageWriter& to, const std::string& mode) {
    to.number(criu::opts::manage_cgroups, 1);
    if (mode.empty()) {
        return {};
    }
    const auto* found = std::ranges::find(cgroup_modes, mode, &std::pair<std::string_view, unsigned>::first);
    if (found == std::end(cgroup_modes)) {
        return fail("--manage-cgroups-mode: '" + mode + "' is none of soft, full, strict and ignore");
    }
    to.number(criu::opts::manage_cgroups_mode, found->second);
    return {};
}

Result<void> add_empty_namespaces(MessageWriter& to, const std::vector<std::string>& kinds) {
    for (const auto& kind : kinds) {
        if (kind != "network") {
            return fail("--empty-ns: '" + kind + "' cannot be left empty; network can");
        }
        to.number(criu::opts::empty_ns, CLONE_NEWNET);
    }
    return {};
}

} // namespace

Result<CheckpointFolder> open_checkpoint_folder(const CheckpointOptions& options, bool make) {
    CheckpointFolder folder{.images = options.image_path,
                            .work = options.work_path.empty() ? options.image_path : options.work_path,
                            .images_fd = {},
                            .work_fd = {}};
    auto images = open_directory(folder.images, make);
    auto work = images ? open_directory(folder.work, true) : std::unexpected(images.error());
    if (!work) {
        return std::unexpected(work.error());
    }
    folder.images_fd = std::move(*images);
    folder.work_fd = std::move(*work);
    return folder;
}

Result<MessageWriter> criu_options(const CheckpointOptions& options, const Config& config,
                                   const CheckpointFolder& folder, const std::string& log) {
    constexpr unsigned detailed = 4;
    MessageWriter to;
    to.number(criu::opts::images_dir_fd, static_cast<unsigned>(folder.images_fd.get()));
    to.number(criu::opts::work_dir_fd, static_cast<unsigned>(folder.work_fd.get()));
    to.text(criu::opts::log_file, log);
    to.number(criu::opts::log_level, detailed);
    to.number(criu::opts::notify_scripts, 1);
    to.number(criu::opts::orphan_pts_master, 1);
    const std::pair<unsigned, bool> flags[] = {{criu::opts::tcp_established, options.tcp_established},
                                               {criu::opts::ext_unix_sk, options.external_unix_sockets},
                                               {criu::opts::shell_job, options.shell_job},
                                               {criu::opts::file_locks, options.file_locks},
                                               {criu::opts::lazy_pages, options.lazy_pages},
                                               {criu::opts::auto_dedup, options.auto_dedup}};
    for (const auto& [field, wanted] : flags) {
        if (wanted) {
            to.number(field, 1);
        }
    }
    // As runc reads it: a file with options of CRIU's own.
    if (const auto file = config.annotations.find("org.criu.config"); file != config.annotations.end()) {
        to.text(criu::opts::config_file, file->second);
    }
    if (auto added = add_cgroup_mode(to, options.manage_cgroups); !added) {
        return std::unexpected(added.error());
    }
    if (auto added = add_empty_namespaces(to, options.empty_namespaces); !added) {
        return std::unexpected(added.error());
    }
    if (!options.page_server.empty()) {
        const auto server = page_server(options.page_server);
        if (!server) {
            return std::unexpected(server.error());
        }
        to.message(criu::opts::ps, *server);
    }
    return to;
}

void add_pair(MessageWriter& options, unsigned field, std::string_view key, std::string_view value) {
    MessageWriter pair;
    pair.text(criu::pair::key, key);
    pair.text(criu::pair::value, value);
    options.message(field, pair);
}

Error explain_criu(const Error& error, const std::string& what, const std::string& log) {
    if (error.code != ECANCELED) {
        return error;
    }
    if (const auto works = check_criu(); !works) {
        return works.error();
    }
    constexpr std::uint64_t largest = 64 << 20;
    const auto bytes = read_file(log, "log", largest);
    const auto reason =
        bytes ? first_error({reinterpret_cast<const char*>(bytes->data()), bytes->size()}) : "";
    return Error{"CRIU cannot " + what + (reason.empty() ? "" : ": " + reason), log + " tells more"};
}

} // namespace strata::container
