// A writer of a qcow2 image that is killed at any moment, and images that nobody should have written.
#include <gtest/gtest.h>

#include "backends/block/block.hpp"
#include "base/bytes.hpp"
#include "image_bytes.hpp"
#include "qemu_tools.hpp"
#include "temporary_directory.hpp"

#include <csignal>
#include <random>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace strata::backends {
namespace {

constexpr std::uint64_t mib = 1 << 20, size = 64 * mib, block = 4096;

struct Variant {
    std::string name, options;
};

class Qcow2Crash : public testing::TestWithParam<Variant> {};

// The writer's promise, in memory that outlives it: what each block holds since the last flush at least.
struct Promise {
    std::uint32_t flushed[size / block];
};

// Block `index` of generation `number`; 0 are zeros.
std::string content(std::uint64_t index, std::uint32_t number) {
    std::string bytes(block, '\0');
    for (std::size_t i = 0; number != 0 && i < block; i += 8) {
        store_le(&bytes[i], index << 32 | number);
    }
    return bytes;
}

[[noreturn]] void write_until_killed(const std::string& path, Promise& promise, std::uint32_t seed) {
    auto disk = open_image(path, {}).value();
    std::mt19937 random(seed);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> unflushed;
    for (std::uint32_t number = 1;; ++number) {
        const auto index = random() % (size / block);
        const auto bytes = content(index, number);
        if (random() % 4 == 0) {
            // A cluster or two goes; its blocks may hold anything from now on until they are written.
            const auto first = index / 16 * 16;
            for (auto gone = first; gone < std::min<std::uint64_t>(first + 32, size / block); ++gone) {
                promise.flushed[gone] = ~0U;
            }
            static_cast<void>(
                disk->discard(first * block, std::min<std::uint64_t>(32 * block, size - first * block)));
        } else {
            promise.flushed[index] = ~0U;
            static_cast<void>(disk->write(index * block, std::as_bytes(std::span(bytes))));
            unflushed.emplace_back(index, number);
        }
        if (random() % 20 == 0 && disk->flush()) {
            for (const auto& [written, generation] : unflushed) {
                std::string now(block, '\0');
                static_cast<void>(disk->read(written * block, std::as_writable_bytes(std::span(now))));
                if (now == content(written, generation)) {
                    promise.flushed[written] = generation;
                }
            }
            unflushed.clear();
        }
    }
}

TEST_P(Qcow2Crash, LeavesAConsistentImageWithAllThatWasFlushed) {
    TemporaryDirectory directory;
    const auto path = directory / "disk.qcow2";
    run("qemu-img create -q -f qcow2 -o " + GetParam().options + " " + path + " 64M");
    auto* promise = static_cast<Promise*>(
        mmap(nullptr, sizeof(Promise), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(promise, MAP_FAILED);
    std::mt19937 random(GTEST_FLAG_GET(random_seed));
    for (int crash = 0; crash < 8; ++crash) {
        const auto seed = static_cast<std::uint32_t>(random());
        const pid_t child = fork();
        if (child == 0) {
            write_until_killed(path, *promise, seed);
        }
        usleep(static_cast<useconds_t>(1000 + random() % 60000));
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        expect_consistent(path);
        auto disk = open_image(path, {.read_only = true});
        ASSERT_TRUE(disk) << disk.error().message;
        std::uint64_t kept = 0;
        for (std::uint64_t index = 0; index < size / block; ++index) {
            const auto number = promise->flushed[index];
            if (number != ~0U && number != 0) {
                ASSERT_TRUE(read_at(**disk, index * block, block) == content(index, number))
                    << "block " << index << " after crash " << crash;
                ++kept;
            }
        }
        RecordProperty("kept", std::to_string(kept));
        // The numbers begin again: what is there now is no promise for the next writer.
        std::fill_n(promise->flushed, size / block, ~0U);
    }
    munmap(promise, sizeof(Promise));
}

INSTANTIATE_TEST_SUITE_P(Variants, Qcow2Crash,
                         testing::Values(Variant{"Plain", "compat=1.1"},
                                         Variant{"SmallClusters", "cluster_size=4k"},
                                         Variant{"GrowingRefcounts", "cluster_size=512,refcount_bits=64"},
                                         Variant{"Version2", "compat=0.10"}),
                         [](const auto& test) { return test.param.name; });

// Tries everything a guest and a user could do with an image; the only demand is that it ends.
void exercise(const std::string& path) {
    static_cast<void>(image_info(path));
    for (const bool read_only : {true, false}) {
        auto disk = open_image(path, {.format = "qcow2", .read_only = read_only});
        if (!disk || (*disk)->size() < 4096) {
            continue;
        }
        std::string bytes(4096, 'x');
        for (const auto offset : {std::uint64_t{0}, (*disk)->size() / 2, (*disk)->size() - 4096}) {
            static_cast<void>((*disk)->read(offset, std::as_writable_bytes(std::span(bytes))));
            static_cast<void>((*disk)->zeroes_at(offset));
            if (!read_only) {
                static_cast<void>((*disk)->write(offset, std::as_bytes(std::span(bytes))));
                static_cast<void>((*disk)->discard(offset, 4096));
                static_cast<void>((*disk)->write_zeroes(offset, 4096));
            }
        }
        static_cast<void>((*disk)->flush());
    }
}

TEST(Qcow2Hostile, TruncatedImages) {
    TemporaryDirectory directory;
    const auto whole = directory / "whole.qcow2", path = directory / "cut.qcow2";
    run("qemu-img create -q -f qcow2 -o cluster_size=4k " + whole + " 1M");
    run("qemu-io -f qcow2 -c 'write -P 1 0 100k' " + whole);
    const auto bytes = read_file(whole);
    for (std::size_t length = 0; length < bytes.size(); length += length < 128 ? 3 : 1997) {
        write_file(path, bytes.substr(0, length));
        exercise(path);
    }
}

TEST(Qcow2Hostile, AbsurdHeaders) {
    TemporaryDirectory directory;
    const auto whole = directory / "whole.qcow2", path = directory / "absurd.qcow2";
    run("qemu-img create -q -f qcow2 -o cluster_size=4k " + whole + " 1M");
    const auto bytes = read_file(whole);
    const std::vector<std::string> values{std::string(4, '\0'), std::string(4, '\xFF'), "\x7F\xFF\xFF\xFF",
                                          std::string("\0\0\0\x15", 4), std::string("\0\x80\0\0", 4)};
    for (std::size_t offset = 4; offset < 112; offset += 4) {
        for (const auto& value : values) {
            auto changed = bytes;
            changed.replace(offset, 4, value);
            write_file(path, changed);
            exercise(path);
        }
    }
    write_file(path, std::string(bytes).replace(4, 4, std::string("\0\0\0\4", 4)));
    EXPECT_FALSE(open_image(path, {.format = "qcow2"})) << "version 4";
}

// Its counts would take gigabytes, and are of clusters that the file does not have.
TEST(Qcow2Hostile, ASnapshotLargerThanTheImageIsNotCounted) {
    TemporaryDirectory directory;
    const auto path = directory / "small.qcow2";
    run("qemu-img create -q -f qcow2 -o cluster_size=512 " + path + " 64k");
    auto bytes = read_file(path);
    const std::size_t table = (bytes.size() + 511) / 512 * 512;
    bytes.resize(table + 512);
    bytes[79] = 1;                                    // dirty: all is counted anew
    bytes.replace(60, 4, std::string("\0\0\0\1", 4)); // one snapshot
    bytes.replace(70, 2, std::string{static_cast<char>(table >> 8), static_cast<char>(table)});
    bytes.replace(table + 8, 4, std::string(4, '\xFF')); // whose L1 table has that many entries
    write_file(path, bytes);
    const auto opened = open_image(path, {.format = "qcow2"});
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message.find("L1 tables larger than the image"), std::string::npos)
        << opened.error().message;
}

TEST(Qcow2Hostile, RandomlyDamagedImages) {
    TemporaryDirectory directory;
    const auto whole = directory / "whole.qcow2", path = directory / "damaged.qcow2";
    run("qemu-img create -q -f qcow2 -o cluster_size=512,lazy_refcounts=on " + whole + " 256k");
    run("qemu-io -f qcow2 -c 'write -P 1 0 20k' " + whole);
    run("qemu-img snapshot -c first " + whole);
    auto bytes = read_file(whole);
    std::mt19937 random(GTEST_FLAG_GET(random_seed));
    for (int round = 0; round < 150; ++round) {
        auto damaged = bytes;
        damaged[79] = static_cast<char>(random() % 2); // dirty: it is repaired
        for (int i = 0; i < 5; ++i) {
            const auto offset = 8 + random() % (std::min<std::size_t>(damaged.size(), 8192) - 8);
            damaged[offset] = static_cast<char>(random() % 3 == 0 ? random() : random() % 2 ? 0xFF : 0);
        }
        write_file(path, damaged);
        exercise(path);
    }
}

} // namespace
} // namespace strata::backends
