#include "base/open_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace strata {
namespace {

class OpenFile : public testing::Test {
protected:
    OpenFile() {
        std::ofstream(file) << "content";
        mkfifo(fifo.c_str(), 0600);
    }

    ~OpenFile() override { std::filesystem::remove_all(directory); }

    static std::filesystem::path make_directory() {
        auto pattern = (std::filesystem::temp_directory_path() / "strata-test-XXXXXX").string();
        return mkdtemp(pattern.data());
    }

    [[nodiscard]] std::string at(const char* name) const { return (directory / name).string(); }

    const std::filesystem::path directory = make_directory();
    const std::string file = at("file"), fifo = at("fifo");
};

TEST_F(OpenFile, ReadsRegularFilesOnly) {
    EXPECT_TRUE(open_to_read(file, "kernel"));
    EXPECT_EQ(open_to_read(fifo, "kernel").error().message,
              "kernel " + fifo + " is a FIFO, not a regular file");
    EXPECT_EQ(open_to_read(directory, "kernel").error().message,
              "kernel " + directory.string() + " is a directory, not a regular file");
    EXPECT_EQ(open_to_read("/dev/zero", "kernel").error().message,
              "kernel /dev/zero is a character device, not a regular file");
    const auto missing = open_to_read(at("missing"), "kernel");
    EXPECT_EQ(missing.error().code, ENOENT);
    EXPECT_EQ(missing.error().hint, hint_for(ENOENT));
}

TEST_F(OpenFile, WritesToAnEmptiedFile) {
    ASSERT_TRUE(open_to_write(file, "log"));
    EXPECT_EQ(std::filesystem::file_size(file), 0U);
    ASSERT_TRUE(open_to_write(at("new"), "log"));
    EXPECT_TRUE(std::filesystem::exists(at("new")));
    EXPECT_TRUE(open_to_write("/dev/null", "log"));
    EXPECT_EQ(open_to_write(directory, "log").error().code, EISDIR);
}

TEST_F(OpenFile, WritesToAFifoThatIsRead) {
    EXPECT_EQ(open_to_write(fifo, "log").error().hint, "nobody reads from this FIFO: start its reader first");
    const FileDescriptor reader(open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
    const auto writer = open_to_write(fifo, "log");
    ASSERT_TRUE(writer);
    EXPECT_EQ(fcntl(writer->get(), F_GETFL) & O_NONBLOCK, 0);
}

} // namespace
} // namespace strata
