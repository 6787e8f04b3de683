#include "image/layer/unpack.hpp"

#include "image/layer/tar_writer.hpp"
#include "image/store/garbage.hpp"
#include "image/store/unpacked.hpp"
#include "temporary_store.hpp"

#include <archive_entry.h>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace strata::image {
namespace {

using testing::HasSubstr;

// An archive, entry by entry.
class Archive {
public:
    using Change = std::function<void(archive_entry*)>;

    Archive& add(const std::string& name, mode_t type, const Change& change = {},
                 const std::string& content = "") {
        archive_entry* entry = archive_entry_new();
        archive_entry_set_pathname(entry, name.c_str());
        archive_entry_set_mode(entry, type | (type == S_IFDIR ? 0755 : 0644));
        archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
        archive_entry_set_mtime(entry, 1000, 0);
        if (change) {
            change(entry);
        }
        EXPECT_TRUE(writer_.begin_entry(entry));
        EXPECT_TRUE(writer_.write(std::as_bytes(std::span(content))));
        archive_entry_free(entry);
        return *this;
    }

    Archive& file(const std::string& name, const std::string& content = "x", const Change& change = {}) {
        return add(name, S_IFREG, change, content);
    }

    Archive& directory(const std::string& name, const Change& change = {}) {
        return add(name, S_IFDIR, change);
    }

    Archive& symbolic_link(const std::string& name, const std::string& target) {
        return add(name, S_IFLNK,
                   [&](archive_entry* entry) { archive_entry_set_symlink(entry, target.c_str()); });
    }

    Archive& hard_link(const std::string& name, const std::string& target) {
        return add(name, S_IFREG,
                   [&](archive_entry* entry) { archive_entry_set_hardlink(entry, target.c_str()); });
    }

    std::string text() {
        EXPECT_TRUE(writer_.finish());
        return text_;
    }

private:
    std::string text_{};
    TarWriter writer_{[this](std::span<const std::byte> data) -> Result<void> {
        text_.append(reinterpret_cast<const char*>(data.data()), data.size());
        return {};
    }};
};

Source source_of(const std::string& text) {
    auto given = std::make_shared<bool>(false);
    auto copy = std::make_shared<std::string>(text);
    return [given, copy]() -> Result<std::span<const std::byte>> {
        const bool again = std::exchange(*given, true);
        return again ? std::span<const std::byte>{} : std::as_bytes(std::span(*copy));
    };
}

// A target directory beside something that must stay as it is.
class Unpacking : public testing::Test {
protected:
    Unpacking() {
        std::filesystem::create_directories(outside_);
        write_file(outside_ + "/victim", "untouched");
        std::filesystem::create_directories(target_);
    }

    ~Unpacking() override {
        EXPECT_EQ(entries_in(outside_), 1U);
        EXPECT_EQ(read("../outside/victim"), "untouched");
    }

    Result<void> unpack(const std::string& text, const UnpackOptions& options = {}) {
        const FileDescriptor directory(open(target_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        return unpack_layer(directory.get(), source_of(text), Digest::of(text), "layer x", options);
    }

    void expect_unpacked(Archive& archive, const UnpackOptions& options = {}) {
        const auto done = unpack(archive.text(), options);
        EXPECT_TRUE(done) << done.error().message;
    }

    void expect_refused(Archive& archive, const std::string& why, const UnpackOptions& options = {}) {
        const auto done = unpack(archive.text(), options);
        ASSERT_FALSE(done);
        EXPECT_THAT(done.error().message, testing::AllOf(HasSubstr("layer x"), HasSubstr(why)));
    }

    [[nodiscard]] std::string read(const std::string& name) const {
        std::ifstream file(target_ + "/" + name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    [[nodiscard]] struct stat look(const std::string& name) const {
        struct stat status{};
        EXPECT_EQ(lstat((target_ + "/" + name).c_str(), &status), 0) << name;
        return status;
    }

    [[nodiscard]] bool exists(const std::string& name) const {
        struct stat status{};
        return lstat((target_ + "/" + name).c_str(), &status) == 0;
    }

    [[nodiscard]] std::string attribute(const std::string& name, const char* key) const {
        std::array<char, 100> value{};
        const auto size = lgetxattr((target_ + "/" + name).c_str(), key, value.data(), value.size());
        return size < 0 ? "" : std::string(value.data(), static_cast<std::size_t>(size));
    }

    TemporaryDirectory directory_;
    std::string outside_ = directory_ / "outside", target_ = directory_ / "target";
};

TEST_F(Unpacking, KeepsWhatFilesAre) {
    const auto owned = [](archive_entry* entry) {
        archive_entry_set_uid(entry, 1234);
        archive_entry_set_gid(entry, 4321);
        archive_entry_set_perm(entry, 04755);
    };
    Archive archive;
    archive.directory("./").directory("bin", [](archive_entry* e) { archive_entry_set_perm(e, 0555); });
    archive.file("bin/tool", "program", owned)
        .hard_link("bin/same", "bin/tool")
        .symbolic_link("tool", "bin/tool");
    archive.add("pipe", S_IFIFO).file("umläut", "ü").file("deep/er/than/its/entries");
    expect_unpacked(archive);
    EXPECT_EQ(read("bin/tool"), "program");
    EXPECT_EQ(look("bin/tool").st_mode, S_IFREG | 04755U);
    EXPECT_EQ(look("bin/tool").st_uid, 1234U);
    EXPECT_EQ(look("bin/tool").st_gid, 4321U);
    EXPECT_EQ(look("bin/tool").st_mtim.tv_sec, 1000);
    EXPECT_EQ(look("bin/same").st_ino, look("bin/tool").st_ino);
    EXPECT_EQ(look("bin").st_mode, S_IFDIR | 0555U);
    EXPECT_EQ(look("bin").st_mtim.tv_sec, 1000);
    EXPECT_EQ(std::filesystem::read_symlink(target_ + "/tool"), "bin/tool");
    EXPECT_TRUE(S_ISFIFO(look("pipe").st_mode));
    EXPECT_EQ(read("umläut"), "ü");
    EXPECT_TRUE(exists("deep/er/than/its/entries"));
}

TEST_F(Unpacking, AttributesAndHoles) {
    Archive archive;
    archive.file("file", "x",
                 [](archive_entry* e) { archive_entry_xattr_add_entry(e, "user.note", "hello", 5); });
    // A capability set of revision 2: CAP_NET_RAW, permitted and effective.
    constexpr unsigned char capability[] = {1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    archive.file("ping", "x", [&](archive_entry* e) {
        archive_entry_xattr_add_entry(e, "security.capability", capability, sizeof capability);
    });
    expect_unpacked(archive);
    EXPECT_EQ(attribute("file", "user.note"), "hello");
    EXPECT_EQ(attribute("ping", "security.capability").size(), sizeof capability);
}

TEST_F(Unpacking, AbsoluteNamesAreBelowTheRoot) {
    Archive archive;
    archive.file(outside_ + "/victim", "changed").file("//etc/passwd").symbolic_link("/link", "/etc");
    expect_unpacked(archive);
    EXPECT_EQ(read(outside_.substr(1) + "/victim"), "changed");
    EXPECT_TRUE(exists("etc/passwd"));
}

TEST_F(Unpacking, NamesThatLeadUpAreRefused) {
    for (const char* name : {"../outside/victim", "a/../../outside/victim", "..", "a/.."}) {
        Archive archive;
        archive.file(name, "changed");
        expect_refused(archive, "'..'");
    }
}

TEST_F(Unpacking, SymbolicLinksLeadNowhereElse) {
    Archive archive;
    archive.symbolic_link("up", "../outside").symbolic_link("abs", outside_).directory("outside");
    archive.directory(outside_.substr(1)).file("up/victim", "changed").file("abs/victim", "changed");
    expect_unpacked(archive);
    EXPECT_EQ(read("outside/victim"), "changed"); // the target's own
}

TEST_F(Unpacking, FilesReplaceSymbolicLinks) {
    Archive archive;
    archive.symbolic_link("victim", outside_ + "/victim").file("victim", "own");
    archive.symbolic_link("dir", outside_).directory("dir").file("dir/victim", "own");
    expect_unpacked(archive);
    EXPECT_TRUE(S_ISREG(look("victim").st_mode));
    EXPECT_EQ(read("victim"), "own");
    EXPECT_TRUE(S_ISDIR(look("dir").st_mode));
}

TEST_F(Unpacking, DirectoriesThatBecomeLinks) {
    Archive archive;
    archive.directory("dir").file("dir/a").symbolic_link("dir", outside_).file("dir/victim", "changed");
    const auto done = unpack(archive.text());
    EXPECT_FALSE(done); // the link leads, inside the root, to what is not there
}

TEST_F(Unpacking, LoopsOfLinks) {
    Archive archive;
    archive.symbolic_link("a", "b").symbolic_link("b", "a").file("a/x");
    expect_refused(archive, "entry 'a/x'");
}

TEST_F(Unpacking, HardLinksOutsideAreRefused) {
    for (const auto& target :
         {std::string("../outside/victim"), outside_ + "/victim", std::string("/etc/passwd")}) {
        Archive archive;
        archive.hard_link("link", target);
        expect_refused(archive, "entry 'link'");
        EXPECT_FALSE(exists("link"));
    }
    Archive archive;
    archive.symbolic_link("up", outside_).hard_link("link", "up/victim");
    expect_refused(archive, "entry 'link'");
}

TEST_F(Unpacking, DevicesAreTheArchivesOwn) {
    Archive archive;
    archive.add("null", S_IFCHR, [](archive_entry* e) { archive_entry_set_rdev(e, makedev(1, 3)); });
    expect_unpacked(archive);
    EXPECT_EQ(look("null").st_rdev, makedev(1, 3));
    Archive disguised;
    disguised.add("passwd", S_IFCHR, [](archive_entry* e) { archive_entry_set_rdev(e, 0); });
    expect_refused(disguised, "takes for a whiteout");
}

TEST_F(Unpacking, UsersMakeNoDevices) {
    Archive archive;
    archive.add("disk", S_IFBLK, [](archive_entry* e) { archive_entry_set_rdev(e, makedev(8, 0)); })
        .file("file");
    expect_unpacked(archive, {.owners = false, .devices = false});
    EXPECT_FALSE(exists("disk"));
    EXPECT_TRUE(exists("file"));
}

TEST_F(Unpacking, OverlaysOwnAttributesAreRefused) {
    for (const char* name : {"trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.metacopy"}) {
        Archive archive;
        archive.directory("dir",
                          [&](archive_entry* e) { archive_entry_xattr_add_entry(e, name, "/etc", 4); });
        expect_refused(archive, name);
    }
}

TEST_F(Unpacking, ImpossibleOwnersAreRefused) {
    Archive archive;
    archive.file("file", "x", [](archive_entry* e) { archive_entry_set_uid(e, UINT32_MAX); });
    expect_refused(archive, "owner");
}

TEST_F(Unpacking, SizesAreBounded) {
    Archive archive;
    archive.file("zeros", std::string(1 << 20, '\0'));
    const auto text = archive.text();
    EXPECT_THAT(unpack(text, {.most_bytes = 1 << 19}).error().message, HasSubstr("larger than 524288 bytes"));
    // A bomb: a small archive that is a large one.
    std::string bomb;
    const Sink sink = [&](std::span<const std::byte> data) -> Result<void> {
        bomb.append(reinterpret_cast<const char*>(data.data()), data.size());
        return {};
    };
    ASSERT_TRUE(make_compressor(Compression::zstd)->write(std::as_bytes(std::span(text)), true, sink));
    EXPECT_LT(bomb.size(), 4096U);
    const FileDescriptor directory(open(target_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto done =
        unpack_layer(directory.get(), source_of(bomb), Digest::of(text), "layer x", {.most_bytes = 1 << 19});
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("larger than 524288 bytes"));
}

// A sparse file as GNU tar wrote it first: one byte of data, behind two GiB of nothing.
TEST_F(Unpacking, HolesCount) {
    std::string header(512, '\0');
    const auto put = [&](std::size_t offset, const std::string& text) {
        header.replace(offset, text.size(), text);
    };
    put(0, "sparse");
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, "00000000001"); // the bytes that follow
    put(136, "00000001000");
    put(148, "        "); // the checksum, while it is computed
    put(156, "S");
    put(257, "ustar  ");
    put(386, "20000000000"); // where they are
    put(398, "00000000001");
    put(483, "20000000001"); // the whole
    unsigned sum = 0;
    for (const char c : header) {
        sum += static_cast<unsigned char>(c);
    }
    std::array<char, 8> digits{};
    std::snprintf(digits.data(), digits.size(), "%06o", sum);
    put(148, std::string(digits.data()) + '\0');
    const auto text = header + "x" + std::string(511 + 1024, '\0');
    const auto refused = unpack(text, {.most_bytes = 1 << 30});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("larger than 1073741824 bytes"));
    const auto done = unpack(text);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(look("sparse").st_size, (la_int64_t{1} << 31) + 1);
    EXPECT_LT(look("sparse").st_blocks, 100);
}

TEST_F(Unpacking, EntriesAreBounded) {
    Archive archive;
    for (int i = 0; i < 11; ++i) {
        archive.file(std::to_string(i));
    }
    expect_refused(archive, "more than 10 entries", {.most_entries = 10});
}

TEST_F(Unpacking, NamesAreBounded) {
    std::string name;
    for (int i = 0; i < 3000; ++i) {
        name += "d/";
    }
    Archive archive;
    archive.file(name + "f");
    expect_refused(archive, "longer than 4095 bytes");
}

TEST_F(Unpacking, TheDigestIsTheConfigurations) {
    Archive archive;
    archive.file("a");
    const auto text = archive.text();
    const FileDescriptor directory(open(target_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto done = unpack_layer(directory.get(), source_of(text), Digest::of("other"), "layer x", {});
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("not " + Digest::of("other").text()));
    // What follows the end mark counts.
    const auto more = text + std::string(10240, 'z');
    EXPECT_FALSE(unpack_layer(directory.get(), source_of(more), Digest::of(text), "layer x", {}));
    EXPECT_TRUE(unpack_layer(directory.get(), source_of(more), Digest::of(more), "layer x", {}));
}

TEST_F(Unpacking, CutShortIsRefused) {
    Archive archive;
    archive.file("a", std::string(5000, 'a'));
    const auto text = archive.text();
    EXPECT_FALSE(unpack(text.substr(0, 3000)));
}

TEST_F(Unpacking, WhiteoutsForOverlayfs) {
    Archive archive;
    archive.directory("dir").file("dir/.wh.gone").file("dir/.wh..wh..opq").file(".wh..wh.plnk");
    expect_unpacked(archive);
    EXPECT_TRUE(S_ISCHR(look("dir/gone").st_mode));
    EXPECT_EQ(look("dir/gone").st_rdev, 0U);
    EXPECT_EQ(attribute("dir", "trusted.overlay.opaque"), "y");
    EXPECT_FALSE(exists(".wh..wh.plnk"));
}

// Whiteouts hide what lower layers have, never what their own layer has.
TEST_F(Unpacking, WhiteoutsBesideTheLayersOwnFiles) {
    Archive archive;
    archive.file("a", "own").file(".wh.a").file(".wh.b").file("b", "own");
    archive.directory("c").file("c/own").file(".wh.c").file(".wh.d").directory("d").file("d/own");
    expect_unpacked(archive);
    EXPECT_EQ(read("a"), "own");
    EXPECT_EQ(read("b"), "own");
    EXPECT_TRUE(exists("c/own"));
    EXPECT_TRUE(exists("d/own"));
    EXPECT_EQ(attribute("c", "trusted.overlay.opaque"), "y");
    EXPECT_EQ(attribute("d", "trusted.overlay.opaque"), "y");
}

TEST_F(Unpacking, WhiteoutsApplied) {
    const UnpackOptions apply{.whiteouts = Whiteouts::apply};
    Archive lower;
    lower.file("gone").file("kept").file("dir/a").file("dir/b").file("opaque/lower").file("tree/deep/er/x");
    lower.file("both/lower");
    expect_unpacked(lower, apply);
    Archive upper;
    upper.file(".wh.gone").file("dir/.wh.a").file("opaque/own").file("opaque/.wh..wh..opq").file(".wh.tree");
    upper.file("both/own").file(".wh.both").file("kept/../x", "", [](archive_entry* e) {
        archive_entry_set_pathname(e, "x");
    });
    expect_unpacked(upper, apply);
    EXPECT_FALSE(exists("gone"));
    EXPECT_TRUE(exists("kept"));
    EXPECT_FALSE(exists("dir/a"));
    EXPECT_TRUE(exists("dir/b"));
    EXPECT_FALSE(exists("opaque/lower"));
    EXPECT_TRUE(exists("opaque/own"));
    EXPECT_FALSE(exists("tree"));
    EXPECT_FALSE(exists("both/lower"));
    EXPECT_TRUE(exists("both/own"));
}

TEST_F(Unpacking, WhiteoutsOfDirectoriesThemselvesAreRefused) {
    for (const auto whiteouts : {Whiteouts::overlay, Whiteouts::apply}) {
        for (const char* name : {".wh..", ".wh...", "a/.wh...", ".wh."}) {
            Archive archive;
            archive.file("a/b").file(name);
            const auto done = unpack(archive.text(), {.whiteouts = whiteouts});
            EXPECT_FALSE(done) << name;
        }
    }
    Archive below;
    below.file(".wh.a/b");
    expect_refused(below, "below a whiteout");
}

// Layers of a store, mounted as a container's root is.
TEST(UnpackedLayers, StackInOverlayfs) {
    TemporaryStore t;
    Archive low, high;
    low.file("gone").file("kept", "low").file("dir/low");
    high.file(".wh.gone").file("kept", "high").file("dir/.wh..wh..opq").file("dir/high");
    auto config = Config::make(Platform::host());
    Manifest manifest;
    auto lease = t.store.lease();
    for (const auto& text : {low.text(), high.text()}) {
        ASSERT_TRUE(t.store.blobs().write_document(Digest::of(text), text, *lease));
        config.add_layer(Digest::of(text), {});
        manifest.layers.push_back(describe(media_type::oci_layer, text));
    }
    const Image image{{}, manifest, config};
    const auto paths = unpack_image(t.store, image, *lease);
    ASSERT_TRUE(paths) << paths.error().message;
    ASSERT_EQ(paths->size(), 2U);
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
    EXPECT_EQ(*unpack_image(t.store, image, *lease), *paths); // once more: they are there
    const auto mounted = t.directory / "mounted", flat = t.directory / "flat";
    std::filesystem::create_directory(mounted);
    std::filesystem::create_directory(flat);
    const auto options = "lowerdir=" + (*paths)[1] + ":" + (*paths)[0];
    ASSERT_EQ(mount("overlay", mounted.c_str(), "overlay", 0, options.c_str()), 0) << std::strerror(errno);
    const FileDescriptor directory(open(flat.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_TRUE(unpack_image_into(t.store, image, directory.get()));
    for (const auto& root : {mounted, flat}) {
        EXPECT_FALSE(std::filesystem::exists(root + "/gone"));
        EXPECT_FALSE(std::filesystem::exists(root + "/dir/low"));
        EXPECT_TRUE(std::filesystem::exists(root + "/dir/high"));
        std::ifstream kept(root + "/kept");
        EXPECT_EQ(std::string(std::istreambuf_iterator<char>(kept), {}), "high");
    }
    umount2(mounted.c_str(), MNT_DETACH);
    // Another content of the second layer is refused, and nothing stays of it.
    auto wrong = image;
    wrong.config.diff_ids[1] = Digest::of("other");
    const auto refused = unpack_image(t.store, wrong, *lease);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("not " + Digest::of("other").text()));
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
    EXPECT_EQ(entries_in(t.directory / "store/layers/sha256"), 2U);
}

TEST(UnpackedLayers, HalfOnesOfTheDeadAreSwept) {
    TemporaryStore t;
    const auto half = t.directory / "store/ingest/layer-abc/deep/er";
    std::filesystem::create_directories(half);
    write_file(half + "/file", "x");
    ASSERT_TRUE(collect_garbage(t.store));
    EXPECT_EQ(entries_in(t.directory / "store/ingest"), 0U);
    EXPECT_EQ(entries_in(t.directory / "store/trash"), 0U);
}

} // namespace
} // namespace strata::image
