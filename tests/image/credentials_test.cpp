#include "image/registry/credentials.hpp"

#include "temporary_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace strata::image {
namespace {

using testing::HasSubstr;

// A user's directories of their own.
class CredentialsTest : public testing::Test {
protected:
    [[nodiscard]] std::string file() const { return home_ / "config.json"; }

    TemporaryDirectory home_;
    Variable docker_{"DOCKER_CONFIG", home_.path()};
    Variable podman_{"REGISTRY_AUTH_FILE", home_ / "auth.json"};
    Variable runtime_{"XDG_RUNTIME_DIR", home_.path()};
    Variable path_{"PATH", home_.path() + ":/usr/bin:/bin"};
};

TEST_F(CredentialsTest, AreKeptFoundAndForgotten) {
    EXPECT_TRUE(find_credentials("lab.example")->empty());
    const auto kept = keep_credentials("lab.example", {.user = "me", .secret = "a:b"});
    ASSERT_TRUE(kept) << kept.error().message;
    EXPECT_EQ(*kept, file());
    struct stat status{};
    ASSERT_EQ(stat(file().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    const auto found = find_credentials("lab.example");
    EXPECT_EQ(found->user, "me");
    EXPECT_EQ(found->secret, "a:b");
    EXPECT_TRUE(find_credentials("other.example")->empty());
    EXPECT_TRUE(*forget_credentials("lab.example"));
    EXPECT_FALSE(*forget_credentials("lab.example"));
    EXPECT_TRUE(find_credentials("lab.example")->empty());
}

TEST_F(CredentialsTest, OfDockersOwnRegistry) {
    write_file(file(), R"({"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}},"other":1})");
    EXPECT_EQ(find_credentials("docker.io")->user, "u");
    ASSERT_TRUE(keep_credentials("docker.io", {.user = "v", .secret = "q"}));
    EXPECT_EQ(find_credentials("docker.io")->user, "v");
    std::ifstream text(file());
    EXPECT_EQ(Json::parse(text)["other"], 1); // what else is in the file stays
}

TEST_F(CredentialsTest, OfPodmansFile) {
    write_file(home_ / "auth.json", R"({"auths":{"lab.example":{"auth":"dTpw"}}})");
    EXPECT_EQ(find_credentials("lab.example")->secret, "p");
}

TEST_F(CredentialsTest, IdentityTokens) {
    ASSERT_TRUE(keep_credentials("lab.example", {.identity_token = "t"}));
    EXPECT_EQ(find_credentials("lab.example")->identity_token, "t");
}

TEST_F(CredentialsTest, DamagedFilesAreNamed) {
    for (const char* text : {"", "[]", "{", "7"}) {
        write_file(file(), text);
        EXPECT_THAT(find_credentials("x").error().message, HasSubstr(file())) << text;
    }
    write_file(file(), R"({"auths":{"x":{"auth":"!!!"}}})");
    EXPECT_THAT(find_credentials("x").error().message, HasSubstr("damaged"));
    for (const char* text :
         {R"({"auths":7})", R"({"auths":[]})", R"({"auths":{"x":7}})", R"({"credHelpers":3})"}) {
        write_file(file(), text);
        EXPECT_TRUE(find_credentials("x")->empty()) << text;
        EXPECT_FALSE(*forget_credentials("x")) << text;
        ASSERT_TRUE(keep_credentials("x", {.user = "u", .secret = "p"})) << text;
        EXPECT_EQ(find_credentials("x")->user, "u") << text;
    }
}

// A helper that keeps secrets in files, as a program of two lines can.
TEST_F(CredentialsTest, Helpers) {
    const auto helper = home_ / "docker-credential-files";
    write_file(helper,
               "#!/bin/sh\ncd \"$DOCKER_CONFIG\"\ncase $1 in\nstore) cat > kept ;;\n"
               "get) read -r s; [ -f kept ] && cat kept || { echo credentials not found; exit 1; } ;;\n"
               "erase) rm kept ;;\nesac\n");
    chmod(helper.c_str(), 0755);
    write_file(file(), R"({"credHelpers":{"lab.example":"files"}})");
    EXPECT_TRUE(find_credentials("lab.example")->empty());
    ASSERT_TRUE(keep_credentials("lab.example", {.user = "me", .secret = "hidden"}));
    std::ifstream text(file());
    EXPECT_THAT(std::string(std::istreambuf_iterator<char>(text), {}), testing::Not(HasSubstr("auth\"")));
    EXPECT_EQ(find_credentials("lab.example")->secret, "hidden");
    EXPECT_TRUE(*forget_credentials("lab.example"));
    EXPECT_FALSE(std::filesystem::exists(home_ / "kept"));
}

TEST_F(CredentialsTest, HelpersThatFail) {
    write_file(file(), R"({"credsStore":"absent-helper"})");
    EXPECT_THAT(find_credentials("x").error().message, HasSubstr("docker-credential-absent-helper"));
    write_file(file(), R"({"credsStore":"../../bin/sh"})");
    EXPECT_THAT(find_credentials("x").error().message, HasSubstr("not a plain name"));
    const auto helper = home_ / "docker-credential-odd";
    write_file(file(), R"({"credsStore":"odd"})");
    write_file(helper, "#!/bin/sh\necho no keyring here; exit 1\n");
    chmod(helper.c_str(), 0755);
    EXPECT_THAT(find_credentials("x").error().message, HasSubstr("no keyring here"));
    write_file(helper, "#!/bin/sh\necho '{\"Username\":7}'\n");
    EXPECT_THAT(find_credentials("x").error().message, HasSubstr("Username is not a string"));
}

TEST(Base64, BothWays) {
    for (const std::string text : {"", "f", "fo", "foo", "foob", "user:pass:word\xff"}) {
        if (!text.empty()) {
            EXPECT_EQ(base64_decode(base64_encode(text)), text);
        }
    }
    EXPECT_EQ(base64_encode("foob"), "Zm9vYg==");
    for (const char* text : {"", "Z", "Zm9", "Z=9v", "*m9v", "===="}) {
        EXPECT_FALSE(base64_decode(text)) << text;
    }
}

} // namespace
} // namespace strata::image
