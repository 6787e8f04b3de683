#include "base/remove_tree.hpp"

#include "base/file_descriptor.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace strata {
namespace {

namespace fs = std::filesystem;

std::string temporary_directory() {
    auto pattern = (fs::temp_directory_path() / "strata-tree-XXXXXX").string();
    return mkdtemp(pattern.data());
}

TEST(RemoveTree, RemovesWhatIsThere) {
    const auto root = temporary_directory();
    fs::create_directories(root + "/tree/a/b/c");
    std::ofstream(root + "/tree/a/b/file") << "x";
    fs::create_directory(root + "/kept");
    std::ofstream(root + "/kept/file") << "x";
    fs::create_symlink(root + "/kept", root + "/tree/a/link");
    EXPECT_TRUE(remove_tree(root + "/tree"));
    EXPECT_FALSE(fs::exists(root + "/tree"));
    EXPECT_TRUE(fs::exists(root + "/kept/file")); // links are removed, not followed
    EXPECT_TRUE(remove_tree(root + "/tree"));     // it need not be there
    EXPECT_TRUE(remove_tree(root));
}

// Deeper than the kernel takes in one name.
TEST(RemoveTree, AtAnyDepth) {
    const auto root = temporary_directory();
    constexpr int depth = 2500;
    FileDescriptor directory(open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < depth; ++i) {
        ASSERT_EQ(mkdirat(directory.get(), "d", i % 3 == 0 ? 0500 : 0700), 0);
        directory.reset(openat(directory.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    EXPECT_TRUE(remove_tree(root));
    EXPECT_FALSE(fs::exists(root));
}

} // namespace
} // namespace strata
