// Qcow2 images exchanged with QEMU's tools in both directions.
#include <gtest/gtest.h>

#include "backends/block/block.hpp"
#include "image_bytes.hpp"
#include "qemu_tools.hpp"
#include "temporary_directory.hpp"

#include <algorithm>
#include <random>

namespace strata::backends {
namespace {

constexpr std::uint64_t kib = 1024, mib = 1024 * kib;

std::unique_ptr<BlockBackend> open_ok(const std::string& path, bool read_only = false) {
    auto opened = open_image(path, {.read_only = read_only});
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
}

std::string error_of(const std::string& path, bool read_only = false) {
    const auto opened = open_image(path, {.read_only = read_only});
    return opened ? "" : opened.error().message;
}

// What the disk holds according to QEMU.
std::string qemu_reads(const std::string& image, const std::string& scratch) {
    run("qemu-img convert -f qcow2 -O raw " + image + " " + scratch);
    return read_file(scratch);
}

void patch(const std::string& path, std::size_t offset, const std::string& bytes) {
    auto content = read_file(path);
    content.replace(offset, bytes.size(), bytes);
    write_file(path, content);
}

class Qcow2 : public testing::Test {
protected:
    TemporaryDirectory directory;
    std::string path = directory / "disk.qcow2";
    std::string raw = directory / "disk.raw";
};

class Qcow2ClusterSize : public Qcow2, public testing::WithParamInterface<std::uint64_t> {};

TEST_P(Qcow2ClusterSize, NewImagesAreClean) {
    const auto cluster_size = GetParam();
    ASSERT_TRUE(create_image(path, {.size = 9 * mib, .cluster_size = cluster_size}));
    expect_clean(path);
    const auto info = image_info(path).value();
    EXPECT_EQ(info.format, "qcow2");
    EXPECT_EQ(info.virtual_size, 9 * mib);
    EXPECT_EQ(info.cluster_size, cluster_size);
    EXPECT_NE(run("qemu-img info " + path).find("cluster_size: " + std::to_string(cluster_size)),
              std::string::npos);

    {
        auto disk = open_ok(path);
        EXPECT_EQ(read_at(*disk, 8 * mib, 4), std::string(4, '\0'));
        write_at(*disk, 8 * mib + 100, "hello");
        EXPECT_EQ(read_at(*disk, 8 * mib + 98, 9), std::string("\0\0hello\0\0", 9));
    }
    expect_clean(path);
    EXPECT_EQ(qemu_reads(path, raw).substr(8 * mib + 98, 9), std::string("\0\0hello\0\0", 9));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Qcow2ClusterSize, testing::Values(512, 4 * kib, 64 * kib, 2 * mib));

// A random history of writes, discards and zeroes against a string that says what must come out.
struct Variant {
    std::string name;
    std::string options; // of qemu-img create
    bool backing = false;
};

class Qcow2History : public Qcow2, public testing::WithParamInterface<Variant> {};

TEST_P(Qcow2History, IsWhatWasWritten) {
    constexpr std::uint64_t size = 3 * mib + 512;
    std::string expected(size, '\0');
    if (GetParam().backing) {
        std::fill_n(expected.begin(), 2 * mib, 'B');
        write_file(directory / "base.raw", expected.substr(0, 2 * mib));
    }
    run("qemu-img create -q -f qcow2 -o " + GetParam().options +
        (GetParam().backing ? ",backing_file=base.raw,backing_fmt=raw " : " ") + path + " " +
        std::to_string(size));

    std::mt19937 random(GTEST_FLAG_GET(random_seed));
    const auto below = [&](std::uint64_t limit) { return random() % limit; };
    for (int session = 0; session < 4; ++session) {
        auto disk = open_ok(path);
        ASSERT_TRUE(disk);
        for (int step = 0; step < 150; ++step) {
            const auto length = 1 + below(below(4) == 0 ? 300 * kib : 5 * kib);
            const auto offset = below(size - std::min(size - 1, length));
            switch (below(8)) {
            case 0: {
                ASSERT_TRUE(disk->write_zeroes(offset, length));
                std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(offset), length, '\0');
                break;
            }
            case 1: {
                // What a discard leaves is the image's choice.
                ASSERT_TRUE(disk->discard(offset, length));
                expected.replace(offset, length, read_at(*disk, offset, length));
                break;
            }
            case 2: ASSERT_TRUE(disk->flush()); break;
            case 3: ASSERT_EQ(read_at(*disk, offset, length), expected.substr(offset, length)); break;
            default: {
                const std::string data(length, static_cast<char>('a' + below(26)));
                write_at(*disk, offset, data);
                expected.replace(offset, length, data);
                break;
            }
            }
        }
        ASSERT_TRUE(read_at(*disk, 0, size) == expected);
        disk.reset();
        expect_clean(path);
        ASSERT_TRUE(qemu_reads(path, raw) == expected);
    }
}

INSTANTIATE_TEST_SUITE_P(Variants, Qcow2History,
                         testing::Values(Variant{"Plain", "compat=1.1"}, Variant{"Version2", "compat=0.10"},
                                         Variant{"SmallClusters", "cluster_size=512"},
                                         Variant{"LargeClusters", "cluster_size=2M"},
                                         Variant{"Refcounts1Bit", "refcount_bits=1,cluster_size=1k"},
                                         Variant{"Refcounts4Bits", "refcount_bits=4"},
                                         Variant{"Refcounts8Bits", "refcount_bits=8"},
                                         Variant{"Refcounts32Bits", "refcount_bits=32"},
                                         Variant{"Refcounts64Bits", "refcount_bits=64,cluster_size=512"},
                                         Variant{"LazyRefcounts", "lazy_refcounts=on"},
                                         Variant{"Preallocated", "preallocation=metadata"},
                                         Variant{"Backing", "compat=1.1", true},
                                         Variant{"BackingVersion2", "compat=0.10", true},
                                         Variant{"BackingSmallClusters", "cluster_size=1k", true}),
                         [](const auto& test) { return test.param.name; });

class Qcow2Compressed : public Qcow2, public testing::WithParamInterface<std::string> {};

TEST_P(Qcow2Compressed, ReadsAndOverwrites) {
    std::string content;
    for (int i = 0; content.size() < 2 * mib; ++i) {
        content += std::to_string(i * 7919) + "\n";
    }
    content.resize(2 * mib);
    write_file(raw, content);
    run("qemu-img convert -c -f raw -O qcow2 -o " + GetParam() + " " + raw + " " + path);
    {
        auto disk = open_ok(path);
        ASSERT_TRUE(disk);
        EXPECT_TRUE(read_at(*disk, 0, content.size()) == content);
        EXPECT_EQ(read_at(*disk, 777777, 10), content.substr(777777, 10));
        write_at(*disk, 100 * kib, "overwritten");
        content.replace(100 * kib, 11, "overwritten");
        EXPECT_TRUE(read_at(*disk, 0, content.size()) == content);
        ASSERT_TRUE(disk->write_zeroes(mib, 512 * kib));
        content.replace(mib, 512 * kib, std::string(512 * kib, '\0'));
    }
    expect_clean(path);
    EXPECT_TRUE(qemu_reads(path, raw) == content);
}

INSTANTIATE_TEST_SUITE_P(Types, Qcow2Compressed,
                         testing::Values("compression_type=zlib", "compression_type=zstd",
                                         "compression_type=zlib,cluster_size=4k",
                                         "compression_type=zstd,cluster_size=2M"));

TEST_F(Qcow2, ABackingFileIsNeverWritten) {
    const auto base = directory / "base.qcow2", middle = directory / "middle.qcow2";
    ASSERT_TRUE(create_image(base, {.size = mib}));
    write_at(*open_ok(base), 0, "base base base");
    ASSERT_TRUE(create_image(middle, {.size = 0, .backing_file = "base.qcow2", .backing_format = "qcow2"}));
    write_at(*open_ok(middle), 5, "MIDDLE");
    ASSERT_TRUE(create_image(path, {.size = 2 * mib, .backing_file = middle, .backing_format = "qcow2"}));
    EXPECT_EQ(image_info(path)->backing_file, middle);
    EXPECT_EQ(image_info(path)->backing_format, "qcow2");
    {
        auto disk = open_ok(path);
        EXPECT_EQ(disk->size(), 2 * mib);
        EXPECT_EQ(read_at(*disk, 0, 14), "base MIDDLEase");
        write_at(*disk, 0, "TOP");
        EXPECT_EQ(read_at(*disk, 0, 14), "TOPe MIDDLEase");
        EXPECT_EQ(read_at(*disk, mib - 2, 4), std::string(4, '\0')) << "past the end of the backing file";
        ASSERT_TRUE(disk->write_zeroes(0, 64 * kib));
        EXPECT_EQ(read_at(*disk, 0, 4), std::string(4, '\0'));
    }
    EXPECT_EQ(read_at(*open_ok(middle, true), 0, 14), "base MIDDLEase");
    EXPECT_EQ(read_at(*open_ok(base, true), 0, 14), "base base base");
    for (const auto& image : {base, middle, path}) {
        expect_clean(image);
    }
}

TEST_F(Qcow2, ALoopOfBackingFilesEnds) {
    run("qemu-img create -q -f qcow2 " + path + " 1M");
    run("qemu-img rebase -u -f qcow2 -F qcow2 -b " + path + " " + path);
    EXPECT_NE(error_of(path, true).find("more than"), std::string::npos) << error_of(path, true);
    EXPECT_NE(error_of(path), "");
}

TEST_F(Qcow2, AMissingBackingFileIsNamed) {
    run("qemu-img create -q -u -f qcow2 -F raw -b nowhere.img " + path + " 1M");
    EXPECT_NE(error_of(path).find("nowhere.img"), std::string::npos) << error_of(path);
}

TEST_F(Qcow2, ABackingFileOfUnstatedFormatMayNotHaveOne) {
    write_file(directory / "secret", std::string(mib, 's'));
    run("qemu-img create -q -f qcow2 -F raw -b secret " + (directory / "base") + " 1M");
    run("qemu-img create -q -f qcow2 -F qcow2 -b base " + path + " 1M");
    EXPECT_EQ(error_of(path), "");
    // Another type for the header extension that states it.
    patch(path, read_file(path).find("\xE2\x79\x2A\xCA"), "\x12");
    EXPECT_NE(error_of(path).find("unstated"), std::string::npos) << error_of(path);
}

TEST_F(Qcow2, AGuestCannotMakeARawImageAnotherFormat) {
    ASSERT_TRUE(create_image(path, {.size = mib}));
    const auto header = read_file(path).substr(0, 512);
    write_file(raw, std::string(mib, '\0'));
    auto guessed = open_image(raw, {}).value();
    EXPECT_FALSE(guessed->write(0, std::as_bytes(std::span(header))));
    EXPECT_FALSE(guessed->write(2, std::as_bytes(std::span("x"))) &&
                 guessed->write(0, std::as_bytes(std::span(header).first(4))));
    write_at(*guessed, 512, header);
    guessed.reset();
    auto stated = open_image(raw, {.format = "raw"}).value();
    write_at(*stated, 0, header);
}

TEST_F(Qcow2, SnapshotsStayAsTheyWere) {
    run("qemu-img create -q -f qcow2 " + path + " 4M");
    run("qemu-io -f qcow2 -c 'write -P 0x41 0 2M' " + path);
    run("qemu-img snapshot -c first " + path);
    {
        auto disk = open_ok(path);
        write_at(*disk, 100, "changed");
        write_at(*disk, 3 * mib, "new");
        ASSERT_TRUE(disk->discard(mib, mib));
        EXPECT_EQ(read_at(*disk, 98, 11), "AAchangedAA");
    }
    expect_clean(path);
    run("qemu-img convert -f qcow2 -l first -O raw " + path + " " + raw);
    EXPECT_TRUE(read_file(raw) == std::string(2 * mib, 'A') + std::string(2 * mib, '\0'));
    run("qemu-img snapshot -d first " + path);
    expect_clean(path);
    EXPECT_EQ(qemu_reads(path, raw).substr(98, 11), "AAchangedAA");
}

TEST_F(Qcow2, FeaturesItDoesNotKnowAreNamed) {
    run("qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=128k " + path + " 1M");
    EXPECT_NE(error_of(path).find("extended L2 entries"), std::string::npos) << error_of(path);
    run("qemu-img create -q -f qcow2 -o data_file=" + (directory / "data") + " " + path + " 1M");
    EXPECT_NE(error_of(path).find("data file"), std::string::npos) << error_of(path);
    run("qemu-img create -q -f qcow2 " + path + " 1M");
    patch(path, 35, "\x02"); // encrypted with LUKS
    EXPECT_NE(error_of(path).find("encrypted"), std::string::npos) << error_of(path);
}

TEST_F(Qcow2, ADirtyImageIsRepairedBeforeItIsWritten) {
    run("qemu-img create -q -f qcow2 -o lazy_refcounts=on " + path + " 16M");
    run("qemu-io -f qcow2 -c 'write -P 0x42 0 5M' -c 'flush' " + path);
    run("qemu-img snapshot -c first " + path);
    run_command("qemu-io -f qcow2 -c 'write -P 0x43 1M 9M' -c 'flush' -c 'abort' " + path);
    ASSERT_NE(run_command("qemu-img check -f qcow2 " + path).status, 0) << "the test needs a dirty image";
    EXPECT_EQ(read_at(*open_ok(path, true), mib - 2, 4), "BBCC") << "reading needs no repair";
    write_at(*open_ok(path), 15 * mib, "after");
    expect_clean(path);
    EXPECT_EQ(run("qemu-img info " + path).find("dirty"), std::string::npos);
    EXPECT_EQ(qemu_reads(path, raw).substr(mib - 2, 4), "BBCC");
}

TEST_F(Qcow2, ACorruptImageIsOnlyRead) {
    run("qemu-img create -q -f qcow2 " + path + " 1M");
    patch(path, 79, "\x02"); // incompatible feature bit 1
    EXPECT_NE(error_of(path).find("corrupt"), std::string::npos);
    EXPECT_EQ(error_of(path, true), "");
}

TEST_F(Qcow2, AnImageFoundCorruptIsMarked) {
    run("qemu-img create -q -f qcow2 " + path + " 1M");
    patch(path, 3 * 64 * kib,
          std::string("\x80\0\0\0\0\x05\x02\0", 8)); // an L2 table in the middle of a cluster
    {
        auto disk = open_ok(path);
        std::string bytes(512, '\0');
        EXPECT_FALSE(disk->read(0, std::as_writable_bytes(std::span(bytes))));
        EXPECT_FALSE(disk->write(0, std::as_bytes(std::span(bytes))));
        EXPECT_FALSE(disk->flush());
    }
    EXPECT_NE(error_of(path).find("corrupt"), std::string::npos);
    EXPECT_EQ(read_file(path)[79], '\x02');
}

// Its place is 0, which elsewhere means nowhere.
TEST_F(Qcow2, ACompressedClusterInTheHeaderIsCorrupt) {
    run("qemu-img create -q -f qcow2 " + path + " 1M");
    write_at(*open_ok(path), 0, "data, then the table");
    patch(path, 5 * 64 * kib, std::string("\x40\0\0\0\0\0\0\0", 8));
    const auto disk = open_ok(path, true);
    std::string bytes(512, '\0');
    const auto result = disk->read(0, std::as_writable_bytes(std::span(bytes)));
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find("compressed cluster at 0x0 is misplaced"), std::string::npos)
        << result.error().message;
}

TEST_F(Qcow2, AutoclearFeaturesAreCleared) {
    run("qemu-img create -q -f qcow2 " + path + " 1M");
    patch(path, 95, "\x40");
    open_ok(path, true);
    EXPECT_EQ(read_file(path)[95], '\x40');
    open_ok(path);
    EXPECT_EQ(read_file(path)[95], '\0');
}

TEST_F(Qcow2, TheRefcountTableGrows) {
    // With clusters of 512 bytes and counts of 64 bits, a cluster of the table counts 2 MiB.
    run("qemu-img create -q -f qcow2 -o cluster_size=512,refcount_bits=64 " + path + " 8M");
    const std::string data(4 * mib, 'x');
    write_at(*open_ok(path), 0, data);
    expect_clean(path);
    write_at(*open_ok(path), 4 * mib, data);
    expect_clean(path);
    EXPECT_TRUE(qemu_reads(path, raw) == data + data);
}

TEST_F(Qcow2, DiscardedSpaceIsUsedAgain) {
    ASSERT_TRUE(create_image(path, {.size = 64 * mib}));
    auto disk = open_ok(path);
    const std::string data(4 * mib, 'x');
    for (int i = 0; i < 8; ++i) {
        write_at(*disk, static_cast<std::uint64_t>(i) * 4 * mib, data);
        ASSERT_TRUE(disk->flush());
        ASSERT_TRUE(disk->discard(static_cast<std::uint64_t>(i) * 4 * mib, 4 * mib));
        ASSERT_TRUE(disk->flush());
    }
    disk.reset();
    EXPECT_LT(read_file(path).size(), 10 * mib);
    EXPECT_LT(image_info(path)->allocated, 2 * mib);
    expect_clean(path);
}

TEST_F(Qcow2, ConvertsBothWays) {
    std::string content(10 * mib + 512, '\0');
    content.replace(mib, 9, "something");
    content.replace(content.size() - 4, 4, "last");
    write_file(raw, content);
    std::uint64_t last = 0;
    const auto progress = [&](std::uint64_t done, std::uint64_t total) {
        EXPECT_EQ(total, content.size());
        EXPECT_GT(done, last);
        last = done;
        return true;
    };
    ASSERT_TRUE(convert_image(raw, {.format = "raw"}, path, {.format = "qcow2"}, progress));
    EXPECT_EQ(last, content.size());
    expect_clean(path);
    run("qemu-img compare -f raw -F qcow2 " + raw + " " + path);
    EXPECT_LT(image_info(path)->allocated, mib);

    const auto back = directory / "back.raw";
    ASSERT_TRUE(convert_image(path, {}, back, {.format = "raw"}, [](auto, auto) { return true; }));
    EXPECT_TRUE(read_file(back) == content);
    EXPECT_LT(image_info(back)->allocated, mib);
    EXPECT_FALSE(convert_image(back, {}, back, {.format = "raw"}, [](auto, auto) { return true; }));
    EXPECT_TRUE(read_file(back) == content);
}

TEST_F(Qcow2, ImpossibleRequestsAreRefused) {
    EXPECT_FALSE(create_image(path, {.size = mib, .cluster_size = 1000}));
    EXPECT_FALSE(create_image(path, {.size = mib, .cluster_size = 256}));
    EXPECT_FALSE(create_image(path, {.size = mib, .cluster_size = 4 * mib}));
    EXPECT_FALSE(create_image(path, {.size = mib, .backing_file = "base"})) << "of what format?";
    EXPECT_FALSE(create_image(path, {.size = ~0ULL >> 1, .cluster_size = 512}));
    EXPECT_FALSE(create_image(path, {.size = 0, .backing_file = "missing", .backing_format = "raw"}));
    EXPECT_FALSE(create_image(directory / "no/such/folder", {.size = mib}));
}

TEST_F(Qcow2, LargeDisksAreSmallFiles) {
    ASSERT_TRUE(create_image(path, {.size = std::uint64_t{64} << 40}));
    {
        auto disk = open_ok(path);
        write_at(*disk, (std::uint64_t{63} << 40) + 5, "far away");
        EXPECT_EQ(read_at(*disk, (std::uint64_t{63} << 40) + 5, 8), "far away");
        EXPECT_GT(*disk->zeroes_at(0), std::uint64_t{62} << 40);
    }
    EXPECT_LT(image_info(path)->allocated, 4 * mib);
    expect_clean(path);
}

} // namespace
} // namespace strata::backends
