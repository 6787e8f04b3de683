#include "container/rdt/group.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"
#include "container/cgroups/files.hpp"
#include "container/kernel/procfs.hpp"
#include "container/rdt/schemata.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::container {
namespace {

constexpr auto top_class = "/"; // as closID: that of all who have none of their own

// The kernel keeps in a file why it did not take what was written last.
Result<void> write_file(const RdtGroup& group, const std::string& path, const std::string& text) {
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) {
        return {};
    }
    auto failure = fail_errno("write '" + text.substr(0, text.find_last_not_of('\n') + 1) + "' to", path);
    const auto why = read_cgroup_file(rdt_root(group), "info/last_cmd_status");
    if (why && *why != "ok\n") {
        failure.error().hint = "the kernel: " + why->substr(0, why->find('\n'));
    }
    return failure;
}

Result<void> make_directory(const std::string& path) {
    return ::mkdir(path.c_str(), 0755) == 0
               ? Result<void>{}
               : fail_errno("make", path, errno,
                            errno == ENOSPC
                                ? "the processor has no more of them; info/*/num_closids and num_rmids "
                                  "say how many there are"
                                : "");
}

Result<void> check_class(const std::string& name) {
    const bool reserved =
        name == "." || name == ".." || name == "info" || name == "mon_groups" || name == "mon_data";
    if (reserved || name.contains('/')) {
        return fail("config.json: linux.intelRdt.closID: '" + name + "' cannot be the name of a class",
                    "/ is the one that all are in");
    }
    return {};
}

Result<void> make_class(const RdtGroup& group, const IntelRdt& rdt, bool named) {
    const bool there = ::access(group.directory.c_str(), F_OK) == 0;
    const auto wanted = schemata_of(rdt);
    if (there && named) {
        const auto now = read_cgroup_file(group.directory, "schemata");
        if (!now) {
            return std::unexpected(now.error());
        }
        for (const auto& text : wanted) {
            if (const auto other = first_difference(text, *now); !other.empty()) {
                return fail("config.json: linux.intelRdt: class " + rdt.clos_id +
                                " is there already, and has not '" + other + "'",
                            "take another closID, or leave the schemata out to take the class as it is");
            }
        }
        return {};
    }
    if (named && wanted.empty()) {
        return fail("config.json: linux.intelRdt: there is no class " + rdt.clos_id + " in " +
                        rdt_root(group),
                    "make it first, or say in l3CacheSchema, memBwSchema or schemata what it is to be");
    }
    if (!there) {
        if (auto made = make_directory(group.directory); !made) {
            return made;
        }
    }
    return write_schemata(group, rdt);
}

} // namespace

std::string rdt_root(const RdtGroup& group) {
    return ::access((group.directory + "/info").c_str(), F_OK) == 0
               ? group.directory
               : group.directory.substr(0, group.directory.rfind('/'));
}

std::optional<std::string> find_resctrl(const std::string& mountinfo) {
    for (const auto& line : split_lines(mountinfo)) {
        // "36 35 98:0 /root /mnt options ... - type source super_options"
        if (line.find(" - resctrl ") == std::string::npos) {
            continue;
        }
        std::size_t at = 0;
        for (int field = 0; field < 4; ++field) {
            at = line.find(' ', at) + 1;
        }
        return line.substr(at, line.find(' ', at) - at);
    }
    return std::nullopt;
}

Result<std::string> resctrl_of_host() {
    const auto mounts = read_text_at(AT_FDCWD, "/proc/self/mountinfo");
    if (!mounts) {
        return std::unexpected(mounts.error());
    }
    const auto found = find_resctrl(*mounts);
    return found ? Result<std::string>(*found)
                 : fail("linux.intelRdt: this host has no resctrl file system mounted",
                        "where processor and kernel have it: mount -t resctrl resctrl /sys/fs/resctrl");
}

Result<RdtGroup> make_rdt_group(const std::string& root, const IntelRdt& rdt, const std::string& id) {
    const bool named = !rdt.clos_id.empty();
    RdtGroup group{.directory = root + "/" + (named ? rdt.clos_id : id), .monitor = {}, .own = !named};
    if (rdt.clos_id == top_class) {
        group.directory = root;
    } else if (auto checked = check_class(rdt.clos_id); !checked) {
        return std::unexpected(checked.error());
    }
    if (auto made = make_class(group, rdt, named); !made) {
        (void)remove_rdt_group(group);
        return std::unexpected(made.error());
    }
    if (rdt.monitoring) {
        group.monitor = group.directory + "/mon_groups/" + id;
        if (auto made = make_directory(group.monitor); !made) {
            (void)remove_rdt_group(group);
            return std::unexpected(made.error());
        }
    }
    return group;
}

Result<void> add_to_rdt_group(const RdtGroup& group, pid_t pid) {
    // Into the class first: its groups for monitoring take no others.
    for (const auto& directory : {group.directory, group.monitor}) {
        if (!directory.empty()) {
            if (auto added = write_file(group, directory + "/tasks", std::to_string(pid)); !added) {
                return added;
            }
        }
    }
    return {};
}

Result<void> write_schemata(const RdtGroup& group, const IntelRdt& rdt) {
    for (const auto& text : schemata_of(rdt)) {
        if (auto written = write_file(group, group.directory + "/schemata", text); !written) {
            return written;
        }
    }
    return {};
}

Result<void> remove_rdt_group(const RdtGroup& group) {
    for (const auto& directory : {group.monitor, group.own ? group.directory : ""}) {
        if (!directory.empty() && ::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
            return fail_errno("remove", directory);
        }
    }
    return {};
}

} // namespace strata::container
