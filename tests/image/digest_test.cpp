#include "image/digest.hpp"

#include <gtest/gtest.h>

namespace strata::image {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// FIPS 180-4's examples.
TEST(Digest, OfKnownTexts) {
    EXPECT_EQ(Digest::of("abc").text(),
              "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(Digest::of("").text(),
              "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    Hasher hasher("sha512");
    hasher.update(bytes("a"));
    hasher.update(bytes("bc"));
    EXPECT_EQ(hasher.digest().text(),
              "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
              "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Digest, OfWhatCameSoFar) {
    Hasher hasher;
    hasher.update(bytes("ab"));
    EXPECT_EQ(hasher.digest(), Digest::of("ab"));
    hasher.update(bytes("c"));
    EXPECT_EQ(hasher.digest(), Digest::of("abc"));
}

TEST(Digest, ReadsItsOwnText) {
    const auto digest = Digest::of("x");
    EXPECT_EQ(Digest::parse(digest.text()), digest);
    EXPECT_EQ(digest.algorithm(), "sha256");
    EXPECT_EQ(digest.hex().size(), 64U);
    EXPECT_EQ(digest.short_hex(), digest.hex().substr(0, 12));
}

TEST(Digest, RefusesOthers) {
    const std::string good(64, '0');
    for (const auto& text :
         {std::string(), std::string("sha256"), std::string("sha256:"), "md5:" + good, "sha256:" + good + "0",
          "sha256:" + good.substr(1), "sha512:" + good, "sha256:" + std::string(64, 'A'), "SHA256:" + good,
          "sha256:../" + good.substr(3), good, "sha256:" + good.substr(1) + "\n"}) {
        EXPECT_FALSE(Digest::parse(text)) << text;
    }
    EXPECT_TRUE(Digest().empty());
}

} // namespace
} // namespace strata::image
