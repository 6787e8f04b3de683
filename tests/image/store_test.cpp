#include "image/store/store.hpp"

#include "image/store/garbage.hpp"
#include "temporary_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>

namespace strata::image {
namespace {

using testing::HasSubstr;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(Blobs, AppearWholeUnderTheirDigest) {
    TemporaryStore t;
    auto lease = t.store.lease();
    auto writer = t.store.blobs().begin();
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(bytes("con")));
    EXPECT_FALSE(t.store.blobs().contains(Digest::of("content")));
    ASSERT_TRUE(writer->write(bytes("tent")));
    EXPECT_EQ(*writer->commit(*lease), Digest::of("content"));
    EXPECT_EQ(*t.store.blobs().read_document(Digest::of("content")), "content");
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
}

TEST(Blobs, UnfinishedOnesLeaveNothing) {
    TemporaryStore t;
    {
        auto writer = t.store.blobs().begin();
        ASSERT_TRUE(writer->write(bytes("half")));
        EXPECT_EQ(entries_in(t.directory / "store/ingest"), 1U);
    }
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
}

TEST(Blobs, DownloadsGoOnWhereTheyEnded) {
    TemporaryStore t;
    const auto digest = Digest::of("content");
    {
        auto writer = t.store.blobs().fetch(digest);
        ASSERT_TRUE((*writer)->write(bytes("con")));
    }
    auto lease = t.store.lease();
    auto writer = t.store.blobs().fetch(digest);
    ASSERT_TRUE(writer->has_value());
    EXPECT_EQ((*writer)->size(), 3U);
    ASSERT_TRUE((*writer)->write(bytes("tent")));
    ASSERT_TRUE((*writer)->commit(*lease));
    EXPECT_FALSE(t.store.blobs().fetch(digest)->has_value()); // it is here
}

TEST(Blobs, OtherContentIsRefusedAndRemoved) {
    TemporaryStore t;
    auto lease = t.store.lease();
    const auto digest = Digest::of("content");
    {
        auto writer = t.store.blobs().fetch(digest);
        ASSERT_TRUE((*writer)->write(bytes("another")));
        const auto done = (*writer)->commit(*lease);
        ASSERT_FALSE(done);
        EXPECT_THAT(done.error().message, HasSubstr(digest.text()));
    }
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
    EXPECT_FALSE(t.store.blobs().contains(digest));
}

TEST(Blobs, DownloadsOfNothingLeaveNothing) {
    TemporaryStore t;
    {
        auto writer = t.store.blobs().fetch(Digest::of("content"));
    }
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
}

TEST(Blobs, OneFetchesWhileOthersWait) {
    TemporaryStore t;
    const auto digest = Digest::of("content");
    std::optional<BlobWriter> first(std::move(**t.store.blobs().fetch(digest)));
    std::atomic<bool> brought = false, waited = false;
    std::jthread other([&] {
        const auto writer = t.store.blobs().fetch(digest);
        waited = brought.load() && writer && !writer->has_value();
    });
    auto lease = t.store.lease();
    ASSERT_TRUE(first->write(bytes("content")));
    brought = true;
    ASSERT_TRUE(first->commit(*lease));
    other.join();
    EXPECT_TRUE(waited);
}

TEST(Blobs, DamageIsSeen) {
    TemporaryStore t;
    auto lease = t.store.lease();
    const auto digest = Digest::of("content");
    ASSERT_TRUE(t.store.blobs().write_document(digest, "content", *lease));
    const auto path = t.directory / ("store/blobs/sha256/" + std::string(digest.hex()));
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    write_file(path, "c0ntent");
    const auto read = t.store.blobs().read_document(digest);
    ASSERT_FALSE(read);
    EXPECT_THAT(read.error().message, HasSubstr("damaged"));
}

TEST(Blobs, DocumentsAreBounded) {
    TemporaryStore t;
    auto lease = t.store.lease();
    const std::string large(largest_document + 1, ' ');
    ASSERT_TRUE(t.store.blobs().write_document(Digest::of(large), large, *lease));
    EXPECT_FALSE(t.store.blobs().read_document(Digest::of(large)));
}

TEST(Store, IsTheUsersOwn) {
    TemporaryStore t;
    struct stat status{};
    ASSERT_EQ(stat((t.directory / "store").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST(Store, FindsImages) {
    TemporaryStore t;
    const auto one = t.add("one", "app:1");
    const auto two = t.add("two", "quay.io/app:2");
    const auto find = [&](const std::string& text) { return t.store.find(text, {"docker.io", "quay.io"}); };
    EXPECT_EQ(find("app:1")->target.digest, one.target.digest);
    EXPECT_EQ(find("app:2")->target.digest, two.target.digest);
    EXPECT_EQ(find("docker.io/library/app:1")->target.digest, one.target.digest);
    const auto id = t.store.load(two.target, Platform::host(), "two")->id();
    EXPECT_EQ(find(id.text())->target.digest, two.target.digest);
    EXPECT_EQ(find(id.short_hex())->target.digest, two.target.digest);
    EXPECT_EQ(find("app@" + one.target.digest.text())->target.digest, one.target.digest);
    EXPECT_THAT(find("absent").error().message, HasSubstr("no image 'absent'"));
    EXPECT_THAT(find("Absent").error().message, HasSubstr("'Absent'"));
}

TEST(Store, ANewImageTakesTheName) {
    const Variable date("SOURCE_DATE_EPOCH", "1700000000"); // equal content is an equal image
    TemporaryStore t;
    const auto old = t.add("old", "app:1");
    t.add("new", "app:1");
    auto entries = *t.store.entries();
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_FALSE(entries[0].name); // the old one stays, without a name
    EXPECT_EQ(entries[0].target.digest, old.target.digest);
    t.add("new", "app:1"); // once more: nothing changes
    EXPECT_EQ(t.store.entries()->size(), 2U);
    t.add("old", "app:2"); // the old one has a name again
    EXPECT_EQ(t.store.entries()->size(), 2U);
}

TEST(Store, ConcurrentChangesAllCount) {
    TemporaryStore t;
    const auto entry = t.add("x", "base:1");
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, i] {
                for (int j = 0; j < 10; ++j) {
                    auto named = entry;
                    named.name = *Reference::parse("app:" + std::to_string(i) + "-" + std::to_string(j));
                    ASSERT_TRUE(t.store.name_image(named));
                }
            });
        }
    }
    EXPECT_EQ(t.store.entries()->size(), 41U);
}

TEST(Garbage, KeepsWhatImagesReach) {
    TemporaryStore t;
    const auto kept = t.add("kept", "kept:1");
    t.add("gone", "gone:1");
    ASSERT_TRUE(t.store.update([](ImageEntries& all) -> Result<void> {
        std::erase_if(all, [](const ImageEntry& entry) {
            return entry.name->tag == "1" && entry.name->repository == "library/gone";
        });
        return {};
    }));
    std::filesystem::create_directories(t.directory /
                                        ("store/layers/sha256/" + std::string(Digest::of("kept").hex())));
    std::filesystem::create_directories(
        t.directory / ("store/layers/sha256/" + std::string(Digest::of("gone").hex())) + "/deep");
    const auto collected = collect_garbage(t.store);
    ASSERT_TRUE(collected) << collected.error().message;
    EXPECT_EQ(collected->blobs.size(), 3U);
    EXPECT_TRUE(t.store.blobs().contains(Digest::of("kept")));
    EXPECT_FALSE(t.store.blobs().contains(Digest::of("gone")));
    EXPECT_TRUE(t.store.load(kept.target, Platform::host(), "kept"));
    EXPECT_EQ(entries_in(t.directory / "store/layers/sha256"), 1U);
    EXPECT_EQ(entries_in(t.directory / "store/trash"), 0U);
}

TEST(Garbage, KeepsWhatIsLeased) {
    TemporaryStore t;
    const auto digest = Digest::of("content");
    {
        auto lease = t.store.lease();
        ASSERT_TRUE(t.store.blobs().write_document(digest, "content", *lease));
        ASSERT_TRUE(collect_garbage(t.store));
        EXPECT_TRUE(t.store.blobs().contains(digest));
    }
    EXPECT_EQ(entries_in(t.directory / "store/leases"), 0U);
    ASSERT_TRUE(collect_garbage(t.store));
    EXPECT_FALSE(t.store.blobs().contains(digest));
}

TEST(Garbage, LeasesOfTheDeadDoNotCount) {
    TemporaryStore t;
    const auto digest = Digest::of("content");
    const pid_t child = fork();
    if (child == 0) {
        auto lease = t.store.lease();
        auto half = t.store.blobs().begin();
        const bool done = lease && half && t.store.blobs().write_document(digest, "content", *lease);
        _exit(done ? 0 : 1); // as if killed: no destructor runs
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    EXPECT_EQ(entries_in(t.directory / "store/leases"), 1U);
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 1U);
    ASSERT_TRUE(collect_garbage(t.store));
    EXPECT_FALSE(t.store.blobs().contains(digest));
    EXPECT_EQ(entries_in(t.directory / "store/leases"), 0U);
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
}

TEST(Garbage, DownloadsStayUntilTheyAreUnwanted) {
    TemporaryStore t;
    {
        auto writer = t.store.blobs().fetch(Digest::of("content"));
        ASSERT_TRUE((*writer)->write(bytes("con")));
    }
    ASSERT_TRUE(collect_garbage(t.store));
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 1U);
    EXPECT_EQ(collect_garbage(t.store, true)->bytes, 3U);
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
}

TEST(Garbage, DamageStopsIt) {
    TemporaryStore t;
    const auto entry = t.add("x", "app:1");
    t.store.blobs().remove(t.store.load(entry.target, Platform::host(), "x")->id());
    const auto collected = collect_garbage(t.store);
    ASSERT_FALSE(collected);
    EXPECT_THAT(collected.error().hint, HasSubstr("strata rmi app:1"));
    EXPECT_TRUE(t.store.blobs().contains(Digest::of("x")));
}

} // namespace
} // namespace strata::image
