#include "container/mounts/options.hpp"

#include <algorithm>
#include <sys/mount.h>

namespace strata::container {
namespace {

struct Attribute {
    std::string_view name;
    std::uint64_t set, clear;
};

// With "r" before the name: recursively.
constexpr Attribute attributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    // The kernel wants the whole field cleared before one of its values is set.
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
};

constexpr std::pair<std::string_view, unsigned long> propagations[] = {
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

// Handed to the superblock as they are; an empty flag is the default, which needs no saying.
constexpr std::pair<std::string_view, std::string_view> superblock_flags[] = {
    {"sync", "sync"},   {"async", ""},    {"dirsync", "dirsync"}, {"lazytime", "lazytime"},
    {"nolazytime", ""}, {"mand", "mand"}, {"nomand", ""},         {"iversion", "iversion"},
    {"noiversion", ""}, {"silent", ""},   {"loud", ""},           {"defaults", ""},
};

constexpr std::string_view other_words[] = {"bind", "rbind", "idmap", "ridmap", "tmpcopyup", "remount"};

const Attribute* find_attribute(std::string_view word) {
    const auto* found = std::ranges::find(attributes, word, &Attribute::name);
    return found != std::end(attributes) ? found : nullptr;
}

// A later word overrules an earlier one.
void merge(std::uint64_t& set, std::uint64_t& clear, const Attribute& attribute) {
    set = (set & ~attribute.clear) | attribute.set;
    clear = (clear & ~attribute.set) | attribute.clear;
}

bool merge_attribute(MountOptions& options, std::string_view word) {
    if (const Attribute* attribute = find_attribute(word)) {
        merge(options.set, options.clear, *attribute);
        return true;
    }
    if (const Attribute* attribute = word.starts_with('r') ? find_attribute(word.substr(1)) : nullptr) {
        merge(options.set_recursive, options.clear_recursive, *attribute);
        return true;
    }
    return false;
}

bool merge_other(MountOptions& options, std::string_view word) {
    if (const auto* row =
            std::ranges::find(propagations, word, &std::pair<std::string_view, unsigned long>::first);
        row != std::end(propagations)) {
        options.propagation.push_back(row->second);
        return true;
    }
    if (const auto* row =
            std::ranges::find(superblock_flags, word, &std::pair<std::string_view, std::string_view>::first);
        row != std::end(superblock_flags)) {
        if (!row->second.empty()) {
            options.superblock_flags.emplace_back(row->second);
        }
        return true;
    }
    return false;
}

} // namespace

bool MountOptions::read_only() const { return ((set | set_recursive) & MOUNT_ATTR_RDONLY) != 0; }

Result<MountOptions> parse_mount_options(const Mount& mount) {
    MountOptions options;
    for (const auto& word : mount.options) {
        if (word == "bind") {
            options.bind = true;
        } else if (word == "rbind") {
            options.bind = options.recursive_bind = true;
        } else if (word == "idmap") {
            options.idmap = true;
        } else if (word == "ridmap") {
            options.idmap = options.recursive_idmap = true;
        } else if (word == "tmpcopyup") {
            options.copy_up = true;
        } else if (word == "remount") {
            return fail("mount " + mount.destination +
                            ": remount is not possible in a container's configuration",
                        "give the options to the mount itself");
        } else if (!merge_attribute(options, word) && !merge_other(options, word)) {
            options.data.push_back(word);
        }
    }
    options.bind = options.bind || mount.type == "bind";
    options.idmap = options.idmap || !mount.uid_mappings.empty();
    if (options.copy_up && mount.type != "tmpfs") {
        return fail("mount " + mount.destination + ": tmpcopyup is for tmpfs only");
    }
    return options;
}

std::vector<std::string_view> mount_option_names() {
    std::vector<std::string_view> names(std::begin(other_words), std::end(other_words));
    static const std::vector<std::string> recursive = [] {
        std::vector<std::string> made;
        for (const Attribute& attribute : attributes) {
            made.push_back("r" + std::string(attribute.name));
        }
        return made;
    }();
    for (const Attribute& attribute : attributes) {
        names.push_back(attribute.name);
    }
    names.insert(names.end(), recursive.begin(), recursive.end());
    for (const auto& row : propagations) {
        names.push_back(row.first);
    }
    for (const auto& row : superblock_flags) {
        names.push_back(row.first);
    }
    std::ranges::sort(names);
    return names;
}

} // namespace strata::container
