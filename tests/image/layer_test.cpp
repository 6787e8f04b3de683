#include "image/layer/archive_reader.hpp"
#include "image/layer/layer_writer.hpp"
#include "image/layer/tar_writer.hpp"
#include "temporary_store.hpp"

#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::image {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// Gives the text in pieces.
Source pieces(std::string text, std::size_t size) {
    auto state = std::make_shared<std::pair<std::string, std::size_t>>(std::move(text), 0);
    return [state, size]() -> Result<std::span<const std::byte>> {
        const auto piece = std::string_view(state->first).substr(state->second, size);
        state->second += piece.size();
        return bytes(piece);
    };
}

std::string read_all(const Source& source) {
    std::string text;
    while (true) {
        const auto piece = source();
        EXPECT_TRUE(piece);
        if (!piece || piece->empty()) {
            return text;
        }
        text.append(reinterpret_cast<const char*>(piece->data()), piece->size());
    }
}

std::string compressed(Compression compression, const std::string& text) {
    std::string result;
    const auto compressor = make_compressor(compression);
    const Sink sink = [&](std::span<const std::byte> data) -> Result<void> {
        result.append(reinterpret_cast<const char*>(data.data()), data.size());
        return {};
    };
    EXPECT_TRUE(compressor->write(bytes(text).first(text.size() / 2), false, sink));
    EXPECT_TRUE(compressor->write(bytes(text).subspan(text.size() / 2), true, sink));
    return result;
}

std::string sample() {
    std::string text;
    for (int i = 0; i < 100000; ++i) {
        text += std::to_string(i * 7919 % 10007) + " ";
    }
    return text;
}

class Compressions : public testing::TestWithParam<Compression> {};

TEST_P(Compressions, BothWays) {
    for (const auto& text : {sample(), std::string("x")}) {
        for (const std::size_t size : {7U, 100000U}) {
            const auto plain = decompressed(pieces(compressed(GetParam(), text), size), "x");
            ASSERT_TRUE(plain);
            EXPECT_EQ(read_all(*plain), text);
        }
    }
}

TEST_P(Compressions, LayersHaveBothDigests) {
    TemporaryStore t;
    auto lease = t.store.lease();
    const auto text = sample();
    auto writer = LayerWriter::begin(t.store.blobs(), GetParam());
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(bytes(text).first(1000)));
    ASSERT_TRUE(writer->write(bytes(text).subspan(1000)));
    const auto layer = writer->finish(*lease);
    ASSERT_TRUE(layer);
    EXPECT_EQ(layer->diff_id, Digest::of(text));
    const auto file = t.store.blobs().open(layer->descriptor.digest);
    ASSERT_TRUE(file);
    const auto plain = decompressed(file_source(file->get(), "x"), "x");
    EXPECT_EQ(read_all(*plain), text);
    EXPECT_EQ(media_type_of(layer->descriptor.media_type).compression, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, Compressions,
                         testing::Values(Compression::none, Compression::gzip, Compression::zstd));

TEST(Decompression, CutShortIsAnError) {
    for (const auto compression : {Compression::gzip, Compression::zstd}) {
        auto text = compressed(compression, sample());
        text.resize(text.size() / 2);
        const auto plain = decompressed(pieces(text, 4096), "layer x");
        Result<std::span<const std::byte>> piece =
            plain ? (*plain)() : Result<std::span<const std::byte>>(std::unexpected(plain.error()));
        while (piece && !piece->empty()) {
            piece = (*plain)();
        }
        ASSERT_FALSE(piece);
        EXPECT_THAT(piece.error().message, testing::HasSubstr("layer x"));
    }
}

// The library could run programs for rare formats; it must not for what comes from outside.
TEST(Decompression, RunsNoPrograms) {
    const std::string lrzip = std::string("LRZI\0\6", 6) + std::string(100, 'x');
    EXPECT_EQ(read_all(*decompressed(pieces(lrzip, 4096), "x")), lrzip);
}

TEST(Tar, BothWays) {
    std::string archive;
    TarWriter writer([&](std::span<const std::byte> data) -> Result<void> {
        archive.append(reinterpret_cast<const char*>(data.data()), data.size());
        return {};
    });
    const std::string long_name = std::string(150, 'd') + "/" + std::string(150, 'f');
    ASSERT_TRUE(writer.add_file("a", "content"));
    ASSERT_TRUE(writer.add_file(long_name, ""));
    ASSERT_TRUE(writer.add_file("umläut", "ü")); // whatever the locale
    ASSERT_TRUE(writer.finish());
    auto reader = TarReader::open(pieces(archive, 100), "x");
    ASSERT_TRUE(reader);
    std::vector<std::string> names;
    while (true) {
        const auto entry = reader->next();
        ASSERT_TRUE(entry) << entry.error().message;
        if (*entry == nullptr) {
            break;
        }
        const char* name = archive_entry_pathname(*entry);
        names.emplace_back(name != nullptr ? name : "(none)");
    }
    EXPECT_THAT(names, testing::ElementsAre("a", long_name, "umläut"));
}

TEST(Tar, GarbageIsAnError) {
    auto reader = TarReader::open(pieces(std::string(2000, 'g'), 512), "file x");
    const auto entry = reader ? reader->next() : Result<archive_entry*>(std::unexpected(reader.error()));
    ASSERT_FALSE(entry);
    EXPECT_THAT(entry.error().message, testing::HasSubstr("file x"));
}

} // namespace
} // namespace strata::image
