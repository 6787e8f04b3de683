#include "image/manifest.hpp"

#include "image/config.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace strata::image {
namespace {

using testing::HasSubstr;

Manifest sample() {
    Manifest manifest;
    manifest.config = describe(media_type::oci_config, "{}");
    manifest.layers = {describe(media_type::oci_layer_gzip, "one"),
                       describe(media_type::oci_layer_zstd, "two")};
    manifest.annotations = {{"k", "v"}};
    return manifest;
}

std::string changed(const std::function<void(Json&)>& change) {
    auto json = Json::parse(sample().text());
    change(json);
    return json.dump();
}

std::string complaint(const std::string& text) {
    const auto manifest = Manifest::parse(text, media_type::oci_manifest, "manifest x");
    return manifest ? "accepted" : manifest.error().message;
}

TEST(Manifest, ReadsWhatItWrites) {
    const auto manifest = Manifest::parse(sample().text(), media_type::oci_manifest, "x");
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->config, sample().config);
    EXPECT_EQ(manifest->layers, sample().layers);
    EXPECT_EQ(manifest->annotations, sample().annotations);
    EXPECT_EQ(manifest->text(), sample().text());
}

TEST(Manifest, NamesTheFieldThatIsWrong) {
    const std::pair<std::function<void(Json&)>, const char*> rows[] = {
        {[](Json& j) { j["schemaVersion"] = 1; }, "schemaVersion is not 2"},
        {[](Json& j) { j.erase("schemaVersion"); }, "schemaVersion is missing"},
        {[](Json& j) { j.erase("config"); }, "config is missing"},
        {[](Json& j) { j["config"] = 5; }, "config is not an object"},
        {[](Json& j) { j.erase("layers"); }, "layers is missing"},
        {[](Json& j) { j["layers"][1]["size"] = -1; }, "layers[1].size is not a non-negative whole number"},
        {[](Json& j) { j["layers"][1]["size"] = 1.5; }, "layers[1].size is not"},
        {[](Json& j) { j["layers"][1]["size"] = UINT64_MAX; }, "layers[1].size is larger than"},
        {[](Json& j) { j["layers"][0]["digest"] = "sha256:../../etc"; }, "layers[0].digest is not a digest"},
        {[](Json& j) { j["layers"][0]["digest"] = ""; }, "layers[0].digest is not a digest"},
        {[](Json& j) { j["layers"][0].erase("digest"); }, "layers[0].digest is missing"},
        {[](Json& j) { j["layers"][0]["mediaType"] = nullptr; }, "layers[0].mediaType is missing"},
        {[](Json& j) { j["annotations"] = {{"a", 1}}; }, "annotations.a is not a string"},
        {[](Json& j) { j["mediaType"] = media_type::oci_index; },
         "mediaType is 'application/vnd.oci.image.index"},
        // One digest read as two documents: CVE-2021-41190.
        {[](Json& j) { j["manifests"] = Json::array(); }, "manifests does not belong"},
    };
    for (const auto& [change, message] : rows) {
        EXPECT_THAT(complaint(changed(change)),
                    testing::AllOf(HasSubstr("manifest x: "), HasSubstr(message)));
    }
}

TEST(Manifest, RefusesWhatIsNoDocument) {
    EXPECT_THAT(complaint(""), HasSubstr("not valid JSON"));
    EXPECT_THAT(complaint("[1"), HasSubstr("not valid JSON"));
    EXPECT_THAT(complaint("7"), HasSubstr("is not an object"));
    EXPECT_THAT(complaint(R"({"schemaVersion":2,"schemaVersion":2})"),
                HasSubstr("'schemaVersion' is there twice"));
    EXPECT_THAT(complaint(std::string(100000, '[')), HasSubstr("nested too deeply"));
}

TEST(Index, ChoosesThePlatform) {
    Index index;
    const auto add = [&](const char* text, const char* platform) {
        auto entry = describe(media_type::oci_manifest, text);
        entry.platform = *Platform::parse(platform);
        index.manifests.push_back(entry);
        return entry.digest;
    };
    const auto amd64 = add("a", "linux/amd64");
    const auto v6 = add("b", "linux/arm/v6");
    const auto v7 = add("c", "linux/arm/v7");
    EXPECT_EQ(index.choose(*Platform::parse("linux/amd64"), "x")->digest, amd64);
    EXPECT_EQ(index.choose(*Platform::parse("linux/arm/v7"), "x")->digest, v7);
    EXPECT_EQ(index.choose(*Platform::parse("linux/arm"), "x")->digest, v6);
    const auto none = index.choose(*Platform::parse("linux/riscv64"), "image x");
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, HasSubstr("image x has no image for linux/riscv64"));
    EXPECT_THAT(none.error().hint, HasSubstr("linux/arm/v7"));
    EXPECT_EQ(Index::parse(index.text(), media_type::oci_index, "x")->manifests, index.manifests);
}

TEST(Index, OneEntryOfNoPlatformFitsAny) {
    Index index;
    index.manifests.push_back(describe(media_type::oci_manifest, "a"));
    EXPECT_TRUE(index.choose(Platform::host(), "x"));
    index.manifests.push_back(describe(media_type::oci_manifest, "b"));
    EXPECT_FALSE(index.choose(Platform::host(), "x"));
}

TEST(Index, DetectsTypes) {
    EXPECT_EQ(detect_media_type(sample().text()), media_type::oci_manifest);
    EXPECT_EQ(detect_media_type(R"({"layers":[]})"), media_type::oci_manifest);
    EXPECT_EQ(detect_media_type(R"({"manifests":[]})"), media_type::oci_index);
    EXPECT_EQ(detect_media_type(R"({"mediaType":"x"})"), "x");
    EXPECT_EQ(detect_media_type("{}"), "");
    EXPECT_EQ(detect_media_type("nonsense"), "");
}

TEST(Platform, ReadsWhatUsersWrite) {
    EXPECT_EQ(Platform::parse("linux/arm64")->text(), "linux/arm64");
    EXPECT_EQ(Platform::parse("linux/x86_64")->text(), "linux/amd64");
    EXPECT_EQ(Platform::parse("linux/arm/v7")->text(), "linux/arm/v7");
    EXPECT_EQ(Platform::parse("armhf")->text(), "linux/arm/v7");
    for (const char* text : {"", "/", "linux/", "linux/a/b/c", "li nux"}) {
        EXPECT_FALSE(Platform::parse(text)) << text;
    }
}

TEST(Config, KeepsWhatItDoesNotKnow) {
    const std::string text =
        R"({"os":"linux","architecture":"arm64","variant":"v8","rootfs":{"type":"layers",)"
        R"("diff_ids":[]},"config":{"Healthcheck":{"Test":["CMD","x"]},"Env":["A=b"]},"x":7})";
    auto config = Config::parse(text, "config");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->platform.text(), "linux/arm64/v8");
    EXPECT_EQ(config->run.environment, std::vector<std::string>{"A=b"});
    config->run.environment.emplace_back("C=d");
    const auto json = Json::parse(config->text());
    EXPECT_EQ(json["x"], 7);
    EXPECT_EQ(json["config"]["Healthcheck"]["Test"][1], "x");
    EXPECT_EQ(json["config"]["Env"].size(), 2U);
}

TEST(Config, NamesTheFieldThatIsWrong) {
    const std::pair<const char*, const char*> rows[] = {
        {R"({})", "os is missing"},
        {R"({"os":"linux","architecture":"a"})", "rootfs is missing"},
        {R"({"os":"linux","architecture":"a","rootfs":{"type":"tree"}})", "rootfs.type is not 'layers'"},
        {R"({"os":"linux","architecture":"a","rootfs":{"type":"layers","diff_ids":["x"]}})",
         "rootfs.diff_ids[0] is not a digest"},
        {R"({"os":"linux","architecture":"a","rootfs":{"type":"layers"},"config":{"Env":[1]}})",
         "config.Env[0] is not a string"},
        {R"({"os":"linux","architecture":"a","rootfs":{"type":"layers"},"config":{"Labels":[]}})",
         "config.Labels is not an object"},
    };
    for (const auto& [text, message] : rows) {
        const auto config = Config::parse(text, "config x");
        ASSERT_FALSE(config) << text;
        EXPECT_THAT(config.error().message, HasSubstr(message));
    }
}

// The example of the OCI image specification's "Layer ChainID", with digests that were computed by sha256sum.
TEST(Config, ChainsLayers) {
    const auto a = Digest::of("a"), b = Digest::of("b"), c = Digest::of("c");
    const auto chain = chain_ids({a, b, c});
    EXPECT_EQ(chain[0], a);
    EXPECT_EQ(chain[1], Digest::of(a.text() + " " + b.text()));
    EXPECT_EQ(chain[2], Digest::of(chain[1].text() + " " + c.text()));
}

} // namespace
} // namespace strata::image
