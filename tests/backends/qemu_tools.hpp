// QEMU's image tools, the judges of every qcow2 image.
#pragma once

#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>

namespace strata::backends {

struct CommandResult {
    int status;
    std::string output; // both streams
};

inline CommandResult run_command(const std::string& command) {
    CommandResult result{-1, {}};
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (pipe != nullptr) {
        char buffer[4096];
        while (const auto got = fread(buffer, 1, sizeof buffer, pipe)) {
            result.output.append(buffer, got);
        }
        const int status = pclose(pipe);
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    return result;
}

// The output of a command that must succeed.
inline std::string run(const std::string& command) {
    const auto result = run_command(command);
    EXPECT_EQ(result.status, 0) << command << ": " << result.output;
    return result.output;
}

// No errors and no leaks.
inline void expect_clean(const std::string& image) { run("qemu-img check -f qcow2 " + image); }

// Leaks are allowed: what a crash may leave.
inline void expect_consistent(const std::string& image) {
    constexpr int clean = 0, leaks = 3;
    const auto result = run_command("qemu-img check -f qcow2 " + image);
    EXPECT_TRUE(result.status == clean || result.status == leaks) << result.output;
}

} // namespace strata::backends
