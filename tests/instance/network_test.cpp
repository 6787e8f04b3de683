#include "instance/network/dns_message.hpp"
#include "instance/network/name_server.hpp"
#include "instance/network/networks.hpp"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::instance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Subnet subnet(const std::string& text) { return *parse_subnet(text); }

TEST(Subnets, AreReadAndWritten) {
    EXPECT_EQ(text_of(subnet("172.29.0.0/16")), "172.29.0.0/16");
    EXPECT_TRUE(subnet("10.1.2.0/24").has(*parse_address("10.1.2.255")));
    EXPECT_FALSE(subnet("10.1.2.0/24").has(*parse_address("10.1.3.0")));
    for (const char* bad : {"", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/0", "10.0.0.0/31", "10.0.0.0/8x",
                            "10.0.0/8", "300.0.0.0/8", "fd00::/64"}) {
        EXPECT_FALSE(parse_subnet(bad)) << bad;
    }
    EXPECT_EQ(text_of(*parse_subnet6("fd00:1::/64")), "fd00:1::/64");
    EXPECT_EQ(text_of(address_in(*parse_subnet6("fd00:1::/64"), *parse_address("10.1.2.3"))),
              "fd00:1::a01:203");
    for (const char* bad : {"fd00::1/64", "fd00::/97", "fd00::/0", "10.0.0.0/8"}) {
        EXPECT_FALSE(parse_subnet6(bad)) << bad;
    }
}

TEST(Subnets, AreNobodyElses) {
    EXPECT_EQ(text_of(*free_subnet({}, true)), "172.29.0.0/16");
    const std::vector used{subnet("172.29.3.0/24"), subnet("172.30.0.0/15"), subnet("10.133.0.0/16")};
    EXPECT_EQ(text_of(*free_subnet(used, true)), "172.28.0.0/16");
    EXPECT_EQ(text_of(*free_subnet(used, false)), "10.134.0.0/24");
    const std::vector all{subnet("172.16.0.0/12"), subnet("192.168.0.0/16"), subnet("10.0.0.0/8")};
    EXPECT_FALSE(free_subnet(all, true));
    EXPECT_FALSE(free_subnet(all, false));
}

std::vector<std::uint8_t> query_for(const std::vector<std::string>& labels, std::uint8_t type) {
    std::vector<std::uint8_t> message{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    for (const auto& label : labels) {
        message.push_back(static_cast<std::uint8_t>(label.size()));
        message.insert(message.end(), label.begin(), label.end());
    }
    message.insert(message.end(), {0, 0, type, 0, 1});
    return message;
}

TEST(DnsMessages, AreReadWithinBounds) {
    const auto message = query_for({"Web", "a.b"}, dns::type_aaaa);
    const auto query = dns::parse_query(message);
    ASSERT_TRUE(query);
    EXPECT_EQ(query->name, "web.a?b");
    EXPECT_EQ(query->type, dns::type_aaaa);
    EXPECT_EQ(query->size, message.size());
    for (std::size_t size = 0; size < message.size(); ++size) {
        EXPECT_FALSE(dns::parse_query({message.data(), size})) << size;
    }
    const std::string label(63, 'x');
    EXPECT_TRUE(dns::parse_query(query_for({label, label, label}, dns::type_a)));
    EXPECT_FALSE(dns::parse_query(query_for({label, label, label, label, label}, dns::type_a)));
    auto pointer = query_for({"web"}, dns::type_a);
    pointer[12] = 0xC0;
    EXPECT_FALSE(dns::parse_query(pointer));
    auto answer = message;
    answer[2] |= 0x80;
    EXPECT_FALSE(dns::parse_query(answer));
}

TEST(DnsMessages, AnswersFit) {
    const auto message = query_for({"web"}, dns::type_a);
    const auto query = dns::parse_query(message);
    ASSERT_TRUE(query);
    const dns::Records records{.addresses = std::vector<Address>(100, *parse_address("10.1.2.3"))};
    const auto all = dns::make_answer(message, *query, dns::Code::good, records, 65535);
    EXPECT_EQ(all.size(), message.size() + 100 * 16);
    EXPECT_THAT(std::vector(all.end() - 4, all.end()), ElementsAre(10, 1, 2, 3));
    EXPECT_TRUE(dns::is_answer(all, message, 0x1234));
    EXPECT_FALSE(dns::is_answer(all, query_for({"wed"}, dns::type_a), 0x1234));
    const auto some = dns::make_answer(message, *query, dns::Code::good, records, dns::longest_datagram);
    EXPECT_LE(some.size(), dns::longest_datagram);
    EXPECT_EQ(some[2] & 2, 2); // there is more
    EXPECT_EQ(dns::address_in_name("3.2.1.10.in-addr.arpa"), *parse_address("10.1.2.3"));
    EXPECT_FALSE(dns::address_in_name("3.2.1.300.in-addr.arpa"));
    EXPECT_FALSE(dns::address_in_name("3.2.1.10.in-addr.arpa.x"));
}

class Networks : public testing::Test {
protected:
    Networks() {
        auto pattern = (std::filesystem::temp_directory_path() / "strata-state-XXXXXX").string();
        path = mkdtemp(pattern.data());
        instances.emplace(*Instances::open(path + "/state", path + "/store"));
    }

    ~Networks() override {
        instances.reset();
        std::filesystem::remove_all(path);
    }

    // An instance that runs, as this process, with an address.
    Instance join(const std::string& name, const Network& network, std::vector<std::string> aliases = {}) {
        auto instance = *instances->create(name, {.network = network.name}, std::nullopt);
        instance.status = Status::running;
        EXPECT_TRUE(instances->save_state(instance));
        EXPECT_TRUE(
            take_address(*instances, network,
                         {.network = network.id, .instance = instance.id, .aliases = std::move(aliases)}));
        return instance;
    }

    [[nodiscard]] std::optional<dns::Records> ask(const Instance& who, const std::string& name) const {
        return look_up(instances->database(), who.id,
                       {.type = dns::type_a, .klass = dns::class_in, .name = name})
            .value();
    }

    std::string path;
    std::optional<Instances> instances;
};

TEST_F(Networks, AreMadeAndRemoved) {
    const auto made =
        create_network(*instances, {.name = "web", .subnet = "10.250.7.0/24", .labels = {{"k", "v"}}});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(text_of(made->gateway), "10.250.7.1");
    EXPECT_THAT(create_network(*instances, {.name = "web"}).error().message, HasSubstr("there is a network"));
    EXPECT_THAT(create_network(*instances, {.name = "other", .subnet = "10.250.0.0/16"}).error().message,
                HasSubstr("overlaps 10.250.7.0/24"));
    EXPECT_FALSE(create_network(*instances, {.name = "host"}));
    EXPECT_FALSE(create_network(*instances, {.name = "-x"}));
    EXPECT_FALSE(
        create_network(*instances, {.name = "gate", .subnet = "10.251.0.0/24", .gateway = "10.252.0.1"}));
    EXPECT_EQ(find_network(*instances, made->id.substr(0, 8))->labels.at("k"), "v");
    EXPECT_EQ(find_network(*instances, "absent").error().code, ENOENT);
    const auto usual = find_network(*instances, default_network);
    ASSERT_TRUE(usual) << usual.error().message;
    EXPECT_FALSE(remove_network(*instances, *usual));
    const auto one = join("one", *made);
    EXPECT_THAT(remove_network(*instances, *made).error().message, HasSubstr("used by container one"));
    ASSERT_TRUE(instances->remove(one));
    EXPECT_TRUE(remove_network(*instances, *made));
}

TEST_F(Networks, GiveAddresses) {
    const auto network = *create_network(*instances, {.name = "web", .subnet = "10.250.7.0/30"});
    const auto one = join("one", network);
    EXPECT_EQ(text_of(endpoints_of(*instances, one)->front().address), "10.250.7.2");
    EXPECT_THAT(take_address(*instances, network, {.network = network.id, .instance = "two"}).error().message,
                HasSubstr("no free address"));
    EXPECT_FALSE(check_endpoint(network, {}, "10.250.7.1"));
    EXPECT_FALSE(check_endpoint(network, {}, "10.250.8.2"));
    EXPECT_FALSE(check_endpoint(network, {"a b"}, ""));
    EXPECT_TRUE(check_endpoint(network, {"db"}, "10.250.7.2"));
    EXPECT_FALSE(check_endpoint(*find_network(*instances, default_network), {"db"}, ""));
}

TEST_F(Networks, KnowNamesOfThoseThatShareThem) {
    const auto web = *create_network(*instances, {.name = "web", .subnet = "10.250.7.0/24"});
    const auto back =
        *create_network(*instances, {.name = "back", .subnet = "10.250.8.0/24", .internal = true});
    const auto one = join("One", web, {"Front"}), two = join("two", web, {"front"}),
               three = join("three", back);
    EXPECT_THAT(ask(one, "two")->addresses, ElementsAre(*parse_address("10.250.7.3")));
    EXPECT_THAT(ask(two, "one")->addresses, ElementsAre(*parse_address("10.250.7.2")));
    EXPECT_THAT(ask(two, "one.web")->addresses, ElementsAre(*parse_address("10.250.7.2")));
    EXPECT_THAT(ask(two, one.short_id())->addresses, ElementsAre(*parse_address("10.250.7.2")));
    EXPECT_EQ(ask(two, "front")->addresses.size(), 2);
    EXPECT_THAT(ask(two, "2.7.250.10.in-addr.arpa")->names, ElementsAre("One.web"));
    EXPECT_FALSE(ask(three, "two"));
    EXPECT_FALSE(ask(one, "three"));
    EXPECT_FALSE(ask(one, "x' OR '1'='1"));
    EXPECT_TRUE(may_ask_others(instances->database(), one.id).value());
    EXPECT_FALSE(may_ask_others(instances->database(), three.id).value());
}

// A state that cannot be read does not say that there is no such name.
TEST_F(Networks, BrokenStateIsNoAnswer) {
    ASSERT_TRUE(instances->database().prepare("DROP TABLE endpoints").step());
    EXPECT_FALSE(
        look_up(instances->database(), "one", {.type = dns::type_a, .klass = dns::class_in, .name = "two"}));
    EXPECT_FALSE(may_ask_others(instances->database(), "one"));
}

} // namespace
} // namespace strata::instance
