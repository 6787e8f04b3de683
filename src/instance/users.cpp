#include "instance/users.hpp"

#include "base/file_descriptor.hpp"

#include <algorithm>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace strata::instance {
namespace {

constexpr std::size_t largest_file = 4U << 20;

// The fields of each line of a file below the root; none when there is no such file.
std::vector<std::vector<std::string>> table(int root, const char* path) {
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const FileDescriptor file(static_cast<int>(syscall(SYS_openat2, root, path, &how, sizeof how)));
    struct stat status{};
    std::string text;
    if (file && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode)) {
        text.resize(std::min<std::size_t>(largest_file, static_cast<std::size_t>(status.st_size)));
        const auto got = pread(file.get(), text.data(), text.size(), 0);
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    }
    std::vector<std::vector<std::string>> lines;
    std::vector<std::string> fields{""};
    for (const char c : text) {
        if (c == '\n') {
            lines.push_back(std::move(fields));
            fields = {""};
        } else if (c == ':') {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    lines.push_back(std::move(fields));
    return lines;
}

std::optional<std::uint32_t> number_in(const std::string& text) {
    std::uint32_t number = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool good = failure == std::errc{} && end == text.data() + text.size() && number != UINT32_MAX;
    return good ? std::optional(number) : std::nullopt;
}

Result<std::uint32_t> group_id(const std::vector<std::vector<std::string>>& groups, const std::string& text) {
    for (const auto& line : groups) {
        if (line.size() >= 3 && line[0] == text) {
            if (const auto id = number_in(line[2])) {
                return *id;
            }
        }
    }
    if (const auto id = number_in(text)) {
        return *id;
    }
    return fail(fmt::format("there is no group '{}' in the container", text),
                "name one of its /etc/group, or a number");
}

} // namespace

Result<User> resolve_user(int root, const std::string& text, const std::vector<std::string>& more) {
    const auto colon = text.find(':');
    const auto name = text.substr(0, colon);
    const auto wanted = name.empty() ? std::string("0") : name;
    const auto groups = table(root, "etc/group");
    User user;
    std::string login;
    bool known = false;
    for (const auto& line : table(root, "etc/passwd")) {
        if (line.size() >= 6 && (line[0] == wanted || line[2] == wanted)) {
            const auto uid = number_in(line[2]), gid = number_in(line[3]);
            if (uid && gid) {
                user = {.uid = *uid, .gid = *gid, .home = line[5].empty() ? "/" : line[5]};
                login = line[0];
                known = true;
                break;
            }
        }
    }
    if (!known) {
        const auto uid = number_in(wanted);
        if (!uid) {
            return fail(fmt::format("there is no user '{}' in the container", wanted),
                        "name one of its /etc/passwd, or a number");
        }
        user.uid = *uid;
        user.home = *uid == 0 ? "/root" : "/";
    }
    if (colon != std::string::npos) {
        const auto gid = group_id(groups, text.substr(colon + 1));
        if (!gid) {
            return std::unexpected(gid.error());
        }
        user.gid = *gid;
    } else if (known) { // the groups that list the user
        for (const auto& line : groups) {
            const auto id = line.size() >= 4 ? number_in(line[2]) : std::nullopt;
            if (id && ("," + line[3] + ",").find("," + login + ",") != std::string::npos) {
                user.groups.push_back(*id);
            }
        }
    }
    for (const auto& group : more) {
        const auto gid = group_id(groups, group);
        if (!gid) {
            return std::unexpected(gid.error());
        }
        user.groups.push_back(*gid);
    }
    return user;
}

} // namespace strata::instance
