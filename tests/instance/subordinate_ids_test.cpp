#include "instance/rootless/subordinate_ids.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::instance {
namespace {

using container::IdMapping;
using testing::ElementsAre;

const IdMapping own{.container_id = 0, .host_id = 1000, .size = 1};

TEST(SubordinateIds, FollowTheUsersOwn) {
    EXPECT_THAT(own_id_map("other:1:2\nme:100000:65536\n", "me", 1000),
                ElementsAre(own, IdMapping{1, 100000, 65536}));
    EXPECT_THAT(own_id_map("me:100000:10\n1000:300000:20", "me", 1000),
                ElementsAre(own, IdMapping{1, 100000, 10}, IdMapping{11, 300000, 20}));
}

TEST(SubordinateIds, NothingIsGrantedByLinesWithoutSense) {
    for (const char* text : {"", "\n\n", "me", "me:", "me:1", "me:1:", "me:x:5", "me:1:5x", "me:1:0",
                             "me:-1:5", "me:1:4294967295", "me:99999999999:5", "mee:1:5", "me:1:5:7"}) {
        EXPECT_THAT(own_id_map(text, "me", 1000), ElementsAre(own)) << text;
    }
}

TEST(SubordinateIds, MapsDoNotOverflow) {
    EXPECT_THAT(own_id_map("me:1:4294967294\nme:5:1", "me", 1000),
                ElementsAre(own, IdMapping{1, 1, 4294967294}));
}

} // namespace
} // namespace strata::instance
