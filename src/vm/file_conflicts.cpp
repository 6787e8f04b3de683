#include "vm/file_conflicts.hpp"

#include "base/error.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <vector>

namespace strata::vm {
namespace {

enum class Use : std::uint8_t { reads, changes, replaces };

struct File {
    std::string role; // for messages
    std::string path;
    Use use;
};

std::vector<File> files_of(const MachineConfig& config) {
    std::vector<File> files{{"the kernel", config.kernel, Use::reads}};
    for (const ModuleConfig& module : config.modules) {
        files.push_back({"an initial RAM disk or module", module.path, Use::reads});
    }
    for (const DiskConfig& disk : config.disks) {
        files.push_back({"a disk", disk.path, disk.read_only ? Use::reads : Use::changes});
    }
    const std::pair<std::string_view, const std::string&> consoles[] = {
        {"--serial", config.serial},
        {"--console", config.console},
        {"--debug-console", config.debug_console}};
    constexpr std::string_view to_file = "file:";
    for (const auto& [option, wire] : consoles) {
        if (wire.starts_with(to_file)) {
            files.push_back({std::string(option), wire.substr(to_file.size()), Use::replaces});
        }
    }
    if (!config.trace.file.empty()) {
        files.push_back({"--trace", config.trace.file, Use::replaces});
    }
    if (!config.case_file.empty()) {
        files.push_back({"--case", config.case_file, Use::replaces});
    }
    if (!config.translation_cache.empty()) {
        files.push_back({"--translation-cache", config.translation_cache, Use::changes});
    }
    return files;
}

// By device and inode where both exist. What is no regular file, like /dev/null, can be shared.
bool same_file(const std::string& one, const std::string& other) {
    std::error_code absent;
    if (std::filesystem::exists(one, absent) || std::filesystem::exists(other, absent)) {
        return std::filesystem::is_regular_file(one, absent) &&
               std::filesystem::equivalent(one, other, absent);
    }
    const auto normal = [&](const std::string& path) {
        return std::filesystem::absolute(path, absent).lexically_normal();
    };
    return normal(one) == normal(other);
}

} // namespace

Result<void> check_file_conflicts(const MachineConfig& config) {
    const auto files = files_of(config);
    for (std::size_t second = 1; second < files.size(); ++second) {
        for (std::size_t first = 0; first < second; ++first) {
            const File &one = files[first], &other = files[second];
            const bool harmless = one.use == Use::reads && other.use == Use::reads;
            if (!harmless && same_file(one.path, other.path)) {
                return fail(fmt::format("{} is {} and {} at once", other.path, one.role,
                                        one.role == other.role ? "another" : other.role),
                            "give each a file of its own");
            }
        }
    }
    return {};
}

} // namespace strata::vm
