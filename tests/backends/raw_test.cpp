// Raw images, and what opening any image does: formats, locks, errors.
#include <gtest/gtest.h>

#include "backends/block/block.hpp"
#include "image_bytes.hpp"
#include "temporary_directory.hpp"

#include <array>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <sys/stat.h>

namespace strata::backends {
namespace {

class RawImage : public testing::Test {
protected:
    TemporaryDirectory directory;
    std::string path = directory / "disk.img";
};

TEST_F(RawImage, ReadsAndWrites) {
    write_file(path, std::string(4096, 'a'));
    auto disk = open_image(path, {.format = "raw"}).value();
    EXPECT_EQ(disk->size(), 4096U);
    write_at(*disk, 1000, "hello");
    EXPECT_EQ(read_at(*disk, 998, 9), "aahelloaa");
    EXPECT_TRUE(disk->flush());
    EXPECT_EQ(read_file(path).substr(1000, 5), "hello");
}

TEST_F(RawImage, PadsTheLastSector) {
    write_file(path, std::string(700, 'a'));
    auto disk = open_image(path, {.format = "raw"}).value();
    EXPECT_EQ(disk->size(), 1024U);
    EXPECT_EQ(read_at(*disk, 512, 512), std::string(188, 'a') + std::string(324, '\0'));
    write_at(*disk, 512, std::string(512, 'b'));
    EXPECT_EQ(read_file(path), std::string(512, 'a') + std::string(512, 'b'));
}

TEST_F(RawImage, DiscardGivesSpaceBack) {
    write_file(path, std::string(1 << 20, 'a'));
    auto disk = open_image(path, {.format = "raw"}).value();
    ASSERT_TRUE(disk->flush());
    const auto blocks = [&] {
        struct stat status{};
        stat(path.c_str(), &status);
        return status.st_blocks;
    };
    const auto before = blocks();
    EXPECT_TRUE(disk->discard(0, 1 << 19));
    EXPECT_LT(blocks(), before);
    EXPECT_EQ(disk->size(), std::uint64_t{1} << 20);
    EXPECT_EQ(read_at(*disk, 1 << 19, 4), "aaaa");
}

TEST_F(RawImage, WritesZeroes) {
    write_file(path, std::string(8192, 'a'));
    auto disk = open_image(path, {.format = "raw"}).value();
    EXPECT_TRUE(disk->write_zeroes(100, 5000));
    EXPECT_EQ(read_file(path), std::string(100, 'a') + std::string(5000, '\0') + std::string(3092, 'a'));
}

TEST_F(RawImage, AReadOnlyDiskSaysSo) {
    write_file(path, std::string(512, 'a'));
    auto disk = open_image(path, {.format = "raw", .read_only = true}).value();
    EXPECT_TRUE(disk->read_only());
    EXPECT_FALSE(disk->write(0, std::as_bytes(std::span("x"))));
    EXPECT_EQ(read_file(path)[0], 'a');
}

TEST_F(RawImage, HasOneWriterOrManyReaders) {
    write_file(path, std::string(512, 'a'));
    {
        const auto writer = open_image(path, {.format = "raw"}).value();
        const auto second = open_image(path, {.format = "raw"});
        ASSERT_FALSE(second);
        EXPECT_NE(second.error().message.find("in use"), std::string::npos);
        EXPECT_FALSE(open_image(path, {.format = "raw", .read_only = true}));
    }
    const auto reader = open_image(path, {.format = "raw", .read_only = true}).value();
    EXPECT_TRUE(open_image(path, {.format = "raw", .read_only = true}));
    EXPECT_FALSE(open_image(path, {.format = "raw"}));
}

TEST_F(RawImage, ErrorsNameTheFile) {
    const auto missing = open_image(path, {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().message, "cannot open disk " + path + ": No such file or directory");
    EXPECT_FALSE(open_image(directory / "", {}));
    write_file(path, "x");
    const auto unknown = open_image(path, {.format = "vmdk9"});
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().hint.find("raw"), std::string::npos);
}

TEST_F(RawImage, IsCreatedSparse) {
    ASSERT_TRUE(create_image(path, {.format = "raw", .size = 1 << 30}));
    const auto info = image_info(path).value();
    EXPECT_EQ(info.format, "raw");
    EXPECT_EQ(info.virtual_size, std::uint64_t{1} << 30);
    EXPECT_LT(info.allocated, std::uint64_t{1} << 20);
    EXPECT_FALSE(create_image(path, {.format = "raw", .size = 512, .backing_file = "other"}));
}

TEST_F(RawImage, ANewImageNeverHarmsWhatIsThere) {
    write_file(path, "precious");
    EXPECT_FALSE(create_image(path, {.format = "raw", .size = 512}));
    EXPECT_FALSE(create_image(path, {.format = "qcow2", .size = 512, .cluster_size = 3, .replace = true}));
    EXPECT_EQ(read_file(path), "precious");
    {
        const auto in_use = open_image(path, {.format = "raw"});
        EXPECT_FALSE(create_image(path, {.format = "raw", .size = 512, .replace = true}));
    }
    EXPECT_EQ(read_file(path), "precious");
    EXPECT_TRUE(create_image(path, {.format = "raw", .size = 512, .replace = true}));
    EXPECT_EQ(read_file(path), std::string(512, '\0'));
}

TEST_F(RawImage, AnAbandonedConversionLeavesNothing) {
    const auto target = directory / "target";
    write_file(path, std::string(3 << 20, 'x'));
    const auto given_up =
        convert_image(path, {.format = "raw"}, target, {}, [](auto, auto) { return false; });
    EXPECT_EQ(given_up.error().code, ECANCELED);
    const std::filesystem::directory_iterator files(std::filesystem::path(path).parent_path());
    EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

} // namespace
} // namespace strata::backends
