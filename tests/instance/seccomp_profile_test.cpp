#include "instance/seccomp_profile.hpp"

#include "container/config/config.hpp"
#include "filter_comparison.hpp"

#include <array>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace strata::instance {
namespace {

// What containers have: the filter that is compiled here lets through what libseccomp's does, and no more.
TEST(SeccompProfile, IsTheSameByBothCompilers) {
    for (const std::vector<std::string>& capabilities :
         {std::vector<std::string>{}, {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"}}) {
        const auto config = container::parse_config(
            fmt::format(
                R"({{"ociVersion": "1.2.0", "root": {{"path": "rootfs"}}, "process": {{"cwd": "/", "args": ["true"]}},
                        "linux": {{"namespaces": [{{"type": "mount"}}], "seccomp": {}}}}})",
                default_seccomp_profile(capabilities).dump()),
            "/bundle");
        ASSERT_TRUE(config) << config.error().message;
        ASSERT_TRUE(config->seccomp);
        // Of personality(), socket() and clone(), which it looks into.
        constexpr std::array<std::uint64_t, 9> arguments{0,  8,          0x20000,    0x20008,    0xFFFFFFFF,
                                                         40, 0x10000000, 0x7E020000, 0x100000008};
        container::expect_same(*config->seccomp, arguments);
    }
}

} // namespace
} // namespace strata::instance
