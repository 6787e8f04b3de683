#include "instance/process_table.hpp"

#include "base/file_descriptor.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <string_view>
#include <sys/ioctl.h>

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

// /proc/PID/stat from the state on, which is field 3; nothing when there is no such process.
class Stat {
public:
    explicit Stat(std::int64_t pid) {
        const FileDescriptor file(open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
        const auto size = file ? read(file.get(), buffer_.data(), buffer_.size()) : -1;
        text_ = {buffer_.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
        const auto name_end = text_.rfind(')'); // the name may have blanks and brackets of its own
        text_.remove_prefix(std::min(text_.size(), name_end == text_.npos ? text_.size() : name_end + 2));
    }

    Stat(const Stat&) = delete;
    Stat& operator=(const Stat&) = delete;

    [[nodiscard]] char state() const { return text_.empty() ? '\0' : text_.front(); }

    [[nodiscard]] std::int64_t number(int field) const {
        auto rest = text_;
        for (int i = 3; i < field; ++i) {
            rest.remove_prefix(std::min(rest.size(), rest.find(' ')));
            rest.remove_prefix(std::min<std::size_t>(rest.size(), 1));
        }
        std::int64_t number = 0;
        std::from_chars(rest.data(), rest.data() + rest.size(), number);
        return number;
    }

private:
    std::array<char, 2048> buffer_{};
    std::string_view text_{};
};

constexpr int start_field = 22, exit_code_field = 52;

// The kernel's include/uapi/linux/pidfd.h, of 6.15 on: what a pidfd tells of a process, also of one that is
// gone.
struct PidfdInfo {
    std::uint64_t mask = 0, cgroup = 0;
    std::uint32_t pid = 0, tgid = 0, ppid = 0, ids[8] = {};
    std::int32_t exit_code = 0;
};

constexpr std::uint64_t exit_information = 1U << 3;
constexpr unsigned long get_information = _IOWR(0xFF, 11, PidfdInfo);

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
    const Stat stat(pid);
    return stat.state() == 'Z' ? 0 : stat.number(start_field);
}

std::optional<int> end_status(std::int64_t pid, int process) {
    constexpr int attempts = 100, pause = 10; // milliseconds: its parent may be about to take it
    for (int i = 0; i < attempts; ++i) {
        if (const Stat stat(pid); stat.state() == 'Z') {
            return static_cast<int>(stat.number(exit_code_field));
        }
        PidfdInfo info{.mask = exit_information};
        if (ioctl(process, get_information, &info) != 0) {
            return std::nullopt; // a kernel before 6.15
        }
        if ((info.mask & exit_information) != 0) {
            return info.exit_code;
        }
        poll(nullptr, 0, pause);
    }
    return std::nullopt;
}

} // namespace strata::instance
