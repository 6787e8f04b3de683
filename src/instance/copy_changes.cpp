#include "instance/copy_changes.hpp"

#include "base/atomic_file.hpp"
#include "base/file_descriptor.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sys/stat.h>

namespace strata::instance {
namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const { closedir(directory); }
};

using Walker = std::function<void(const std::string& path, const struct stat& status)>;

// Everything below an open directory; what goes meanwhile is passed over.
void walk(int directory, const std::string& path, const Walker& see) {
    const int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDirectory> stream(again >= 0 ? fdopendir(again) : nullptr);
    while (const dirent* entry = stream ? readdir(stream.get()) : nullptr) {
        const std::string name = entry->d_name;
        struct stat status{};
        if (name == "." || name == ".." ||
            fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        const auto inner = path + "/" + name;
        see(inner, status);
        if (S_ISDIR(status.st_mode)) {
            const FileDescriptor below(
                openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            walk(below.get(), inner, see);
        }
    }
}

// What a file is told by: "INODE TIME".
std::string mark_of(const struct stat& status) {
    return fmt::format("{} {}.{}", status.st_ino, status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

using Marks = std::map<std::string, std::string>;

Result<Marks> marks_of(const std::string& directory, std::set<std::string>* directories = nullptr) {
    const FileDescriptor file(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file) {
        return fail_errno("open directory", directory);
    }
    Marks marks;
    walk(file.get(), "", [&](const std::string& path, const struct stat& status) {
        marks[path] = mark_of(status);
        if (directories != nullptr && S_ISDIR(status.st_mode)) {
            directories->insert(path);
        }
    });
    return marks;
}

// "INODE TIME PATH" and a byte of zero for each.
Result<Marks> read_list(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return fail_errno("open", path);
    }
    Marks marks;
    for (std::string line; std::getline(file, line, '\0');) {
        const auto blank = line.find(' ', line.find(' ') + 1);
        if (blank == std::string::npos) {
            return fail(path + " is damaged");
        }
        marks[line.substr(blank + 1)] = line.substr(0, blank);
    }
    return marks;
}

std::string above(const std::string& path) { return path.substr(0, path.rfind('/')); }

} // namespace

Result<void> list_files(const std::string& directory, const std::string& list) {
    const auto marks = marks_of(directory);
    if (!marks) {
        return std::unexpected(marks.error());
    }
    std::string text;
    for (const auto& [path, mark] : *marks) {
        text += mark + " " + path + '\0';
    }
    return replace_file(list, text, 0600);
}

Result<Changes> compare_files(const std::string& directory, const std::string& list) {
    const auto before = read_list(list);
    std::set<std::string> directories{""};
    const auto now = before ? marks_of(directory, &directories) : std::unexpected(before.error());
    if (!now) {
        return std::unexpected(now.error());
    }
    std::map<std::string, char> changes;
    for (const auto& [path, mark] : *now) {
        const auto known = before->find(path);
        if (known == before->end() || known->second != mark) {
            changes[path] = known == before->end() ? 'A' : 'C';
        }
    }
    for (const auto& [path, mark] : *before) {
        if (!now->contains(path) && directories.contains(above(path))) {
            changes[path] = 'D';
        }
    }
    const auto found = changes;
    for (const auto& [path, kind] : found) {
        for (auto parent = above(path); !parent.empty(); parent = above(parent)) {
            changes.try_emplace(parent, 'C');
        }
    }
    Changes result;
    for (const auto& [path, kind] : changes) {
        result.emplace_back(kind, path);
    }
    return result;
}

} // namespace strata::instance
