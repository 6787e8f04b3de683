#include "instance/process_table.hpp"

#include "base/file_descriptor.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <string_view>

namespace strata::instance {
namespace {

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string namespace_of(const std::string& process) {
    std::error_code ignored;
    return std::filesystem::read_symlink(process + "/ns/pid", ignored).string();
}

ProcessEntry read_process(std::int64_t pid, const std::string& path) {
    ProcessEntry entry{.pid = pid, .command = content_of(path + "/cmdline")};
    std::ranges::replace(entry.command, '\0', ' ');
    const auto status = content_of(path + "/status");
    const auto number = [&](const char* name) {
        const auto at = status.find(name);
        return at == std::string::npos
                   ? 0
                   : std::strtoll(status.c_str() + at + std::string_view(name).size(), nullptr, 10);
    };
    entry.parent = number("\nPPid:");
    entry.uid = static_cast<unsigned>(number("\nUid:"));
    return entry;
}

} // namespace

std::vector<ProcessEntry> processes_beside(std::int64_t pid) {
    const auto wanted = namespace_of(fmt::format("/proc/{}", pid));
    std::vector<ProcessEntry> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
        const auto number = std::strtoll(entry.path().filename().c_str(), nullptr, 10);
        if (number > 0 && !wanted.empty() && namespace_of(entry.path()) == wanted) {
            found.push_back(read_process(number, entry.path()));
        }
    }
    std::ranges::sort(found, {}, &ProcessEntry::pid);
    return found;
}

std::int64_t start_time(std::int64_t pid) {
    const FileDescriptor file(open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 1024> buffer{};
    const auto size = file ? read(file.get(), buffer.data(), buffer.size() - 1) : -1;
    if (size <= 0) {
        return 0;
    }
    std::string_view text(buffer.data(), static_cast<std::size_t>(size));
    const auto name_end = text.rfind(')'); // the name may have blanks and brackets of its own
    if (name_end == text.npos || name_end + 2 >= text.size() || text[name_end + 2] == 'Z') {
        return 0;
    }
    text.remove_prefix(name_end + 2);
    constexpr int fields_before_start = 19; // after the name: state is the first
    for (int i = 0; i < fields_before_start; ++i) {
        const auto blank = text.find(' ');
        if (blank == text.npos) {
            return 0;
        }
        text.remove_prefix(blank + 1);
    }
    return std::strtoll(text.data(), nullptr, 10);
}

} // namespace strata::instance
