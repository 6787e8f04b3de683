#include "base/state_stream.hpp"

#include <gtest/gtest.h>

namespace strata {
namespace {

enum class Color : std::uint8_t { red, green, blue };

struct Sample {
    std::uint8_t small = 0;
    std::int64_t large = 0;
    bool flag = false;
    Color color = Color::red;
    std::array<std::uint16_t, 3> list{};
    std::vector<std::uint8_t> bytes;

    void visit(StateVisitor& visitor) {
        visitor.field("small", small);
        visitor.field("large", large);
        visitor.field("flag", flag);
        visitor.field_up_to("color", color, Color::blue);
        visitor.field("list", list);
        visitor.field("bytes", bytes, 4);
    }

    bool operator==(const Sample&) const = default;
};

const Sample sample{7, -5, true, Color::green, {1, 2, 0xFFFF}, {9, 8}};

std::vector<std::byte> save(Sample value) {
    StateWriter writer;
    writer.section("sample");
    value.visit(writer);
    EXPECT_TRUE(writer.result());
    return writer.bytes();
}

TEST(StateStream, LoadsWhatWasSaved) {
    const auto bytes = save(sample);
    Sample loaded;
    StateReader reader(bytes);
    reader.section("sample");
    loaded.visit(reader);
    EXPECT_TRUE(reader.result());
    EXPECT_EQ(loaded, sample);
}

TEST(StateStream, NamesTheFieldThatDiffers) {
    const auto bytes = save(sample);
    StateReader reader(bytes);
    reader.section("sample");
    std::uint8_t small = 0;
    std::uint64_t other = 3;
    reader.field("small", small);
    reader.field("huge", other);
    EXPECT_EQ(small, 7);
    EXPECT_EQ(other, 3U) << "a mismatch changes nothing";
    EXPECT_EQ(reader.result().error().message, "saved state of sample: field huge: found large instead");
}

TEST(StateStream, NamesTheFieldOfAnotherSize) {
    const auto bytes = save(sample);
    StateReader reader(bytes);
    reader.section("sample");
    std::uint32_t small = 0;
    reader.field("small", small);
    EXPECT_EQ(reader.result().error().message, "saved state of sample: field small: has another size");
}

TEST(StateStream, RefusesImpossibleValues) {
    StateWriter writer;
    writer.section("sample");
    std::uint8_t color = 3;
    writer.field("color", color);
    StateReader reader(writer.bytes());
    reader.section("sample");
    Color loaded = Color::green;
    reader.field_up_to("color", loaded, Color::blue);
    EXPECT_EQ(loaded, Color::green);
    EXPECT_EQ(reader.result().error().message, "saved state of sample: field color: impossible value");
}

TEST(StateStream, NamesTheSectionThatIsMissing) {
    const auto bytes = save(sample);
    StateReader reader(bytes);
    reader.section("other");
    EXPECT_EQ(reader.result().error().message, "saved state: expected other, found sample");
}

TEST(StateStream, RefusesMoreThanWasAskedFor) {
    const auto bytes = save(sample);
    StateReader reader(bytes);
    reader.section("sample");
    std::uint8_t small = 0;
    reader.field("small", small);
    EXPECT_FALSE(reader.result());
}

TEST(StateStream, EveryTruncationIsRefused) {
    const auto bytes = save(sample);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        StateReader reader(std::span<const std::byte>(bytes).first(length));
        reader.section("sample");
        Sample loaded;
        loaded.visit(reader);
        EXPECT_FALSE(reader.result()) << length;
    }
}

} // namespace
} // namespace strata
