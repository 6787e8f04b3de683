#include "container/cgroups/files.hpp"

#include "base/file_descriptor.hpp"
#include "container/kernel/procfs.hpp"

#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

namespace strata::container {

Result<void> write_cgroup_file(const std::string& directory, const std::string& name, std::string_view text) {
    const std::string path = directory + "/" + name;
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) {
        return fail_errno("open", path);
    }
    if (::write(file.get(), text.data(), text.size()) < 0) {
        return fail_errno("write '" + std::string(text) + "' to", path);
    }
    return {};
}

Result<std::string> read_cgroup_file(const std::string& directory, const std::string& name) {
    return read_text_at(AT_FDCWD, directory + "/" + name);
}

bool has_cgroup_file(const std::string& directory, const std::string& name) {
    return ::access((directory + "/" + name).c_str(), F_OK) == 0;
}

std::optional<std::uint64_t> read_cgroup_number(const std::string& directory, const std::string& name) {
    const auto text = read_cgroup_file(directory, name);
    std::uint64_t value = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc{}) {
        return std::nullopt;
    }
    return value;
}

std::optional<std::uint64_t> find_cgroup_value(const std::string& text, std::string_view key) {
    for (const auto& line : split_lines(text)) {
        if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
            std::uint64_t value = 0;
            const char* start = line.data() + key.size() + 1;
            if (std::from_chars(start, line.data() + line.size(), value).ec == std::errc{}) {
                return value;
            }
        }
    }
    return std::nullopt;
}

namespace {

std::vector<std::string> names_of_type(const std::string& directory, unsigned char type) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(::opendir(directory.c_str()), &::closedir);
    while (const dirent* entry = list ? ::readdir(list.get()) : nullptr) {
        const std::string name = entry->d_name;
        if (entry->d_type == type && name != "." && name != "..") {
            names.push_back(name);
        }
    }
    return names;
}

} // namespace

std::vector<std::string> child_cgroups(const std::string& directory) {
    return names_of_type(directory, DT_DIR);
}

std::vector<std::string> cgroup_files(const std::string& directory) {
    return names_of_type(directory, DT_REG);
}

std::vector<std::string> split_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::size_t start = 0;
    while (start < text.size()) {
        const auto end = std::min(text.find('\n', start), text.size());
        lines.push_back(text.substr(start, end - start));
        start = end + 1;
    }
    return lines;
}

} // namespace strata::container
