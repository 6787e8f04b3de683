#include "filter_comparison.hpp"

#include <array>
#include <gtest/gtest.h>
#include <random>
#include <seccomp.h>

namespace strata::container {
namespace {

constexpr std::uint32_t allow = SCMP_ACT_ALLOW, refuse = SCMP_ACT_ERRNO(1), no_call = SCMP_ACT_ERRNO(38);

SyscallRule rule(std::vector<std::string> names, std::uint32_t action = allow,
                 std::vector<SyscallArgument> args = {}) {
    return {.names = std::move(names), .action = action, .error_number = {}, .args = std::move(args)};
}

SyscallArgument argument(unsigned index, int comparison, std::uint64_t value, std::uint64_t second = 0) {
    return {.index = index, .value = value, .value_two = second, .comparison = comparison};
}

Seccomp filter(std::vector<SyscallRule> rules, std::uint32_t otherwise = refuse) {
    Seccomp seccomp;
    seccomp.default_action = otherwise;
    seccomp.architectures = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32};
    seccomp.rules = std::move(rules);
    return seccomp;
}

const std::vector<std::string> usual{"read",   "write",   "openat",       "socketcall", "ipc",
                                     "bind",   "accept",  "semctl",       "mmap2",      "_llseek",
                                     "shmget", "waitpid", "futex",        "recvmmsg",   "time",
                                     "ioctl",  "execve",  "no_such_call", "close",      "landlock_add_rule"};

TEST(PlainFilter, DoesWhatTheLibrarysDoes) {
    const std::array<std::uint64_t, 8> values{0, 7, 8, 40, 0x28, 0x7E020000, 0x100000008, 0xFFFFFFFFFFFFFFFF};
    const auto all = filter({rule(usual), rule({"personality"}, allow, {argument(0, SCMP_CMP_EQ, 8)}),
                             rule({"personality"}, allow, {argument(0, SCMP_CMP_EQ, 0xFFFFFFFF)}),
                             rule({"socket"}, allow, {argument(0, SCMP_CMP_NE, 40)}),
                             rule({"clone"}, allow, {argument(0, SCMP_CMP_MASKED_EQ, 0x7E020000, 0)}),
                             rule({"clone3"}, no_call), rule({"ptrace"}, refuse)});
    expect_same(all, values);
    for (const std::vector<std::uint32_t>& architectures :
         {std::vector<std::uint32_t>{}, {SCMP_ARCH_NATIVE}, {SCMP_ARCH_X86}, {SCMP_ARCH_X32}}) {
        auto some = all;
        some.architectures = architectures;
        expect_same(some, values);
    }
    expect_same(filter({rule({"unshare", "mount"}, refuse), rule({"umount2"}, SCMP_ACT_LOG)}, allow), values);
    expect_same(filter({}), values);
}

TEST(PlainFilter, ComparesAsTheLibraryDoes) {
    std::mt19937_64 random(1);
    const std::array<std::uint64_t, 9> edges{
        0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x100000001, 0xFFFFFFFFFFFFFFFF};
    for (int round = 0; round < 40; ++round) {
        std::vector<SyscallRule> rules{rule({"read", "close"})};
        for (const char* name : {"openat", "kill", "ioctl", "mremap"}) {
            std::vector<SyscallArgument> arguments;
            for (unsigned index = 0; index < 3; ++index) {
                if (random() % 2 == 0) {
                    const auto comparison = static_cast<int>(SCMP_CMP_NE + random() % 7);
                    arguments.push_back(argument(index, comparison, edges[random() % edges.size()],
                                                 edges[random() % edges.size()]));
                }
            }
            rules.push_back(rule({name}, random() % 2 == 0 ? allow : no_call, arguments));
        }
        auto seccomp = filter(std::move(rules));
        seccomp.architectures = {SCMP_ARCH_X86_64};
        expect_same(seccomp, edges);
    }
}

TEST(PlainFilter, LeavesWhatIsUnusual) {
    const auto is_plain = [](const Seccomp& seccomp) { return compile_plain_filter(seccomp).has_value(); };
    EXPECT_TRUE(is_plain(filter({rule({"read"}), rule({"read"})})));
    EXPECT_FALSE(is_plain(filter({rule({"read"}), rule({"read"}, no_call)})));
    EXPECT_FALSE(is_plain(filter({rule({"read"}), rule({"read"}, allow, {argument(0, SCMP_CMP_EQ, 1)})})));
    EXPECT_FALSE(is_plain(
        filter({rule({"read"}, allow, {argument(0, SCMP_CMP_GT, 1), argument(0, SCMP_CMP_LT, 9)})})));
    EXPECT_FALSE(is_plain(filter({rule({"bind"})}))); // and socketcall, for binding only
    auto seccomp = filter({rule({"read"})});
    seccomp.architectures.push_back(SCMP_ARCH_AARCH64);
    EXPECT_FALSE(is_plain(seccomp));
}

} // namespace
} // namespace strata::container
