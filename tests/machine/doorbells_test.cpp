// Doorbells that an engine listens to: where they are, and what a ring does.
#include "machine/boards/doorbells.hpp"

#include <gtest/gtest.h>

#include <map>
#include <sys/eventfd.h>

namespace strata::machine {
namespace {

class Bell final : public devices::StatelessDevice {
public:
    [[nodiscard]] std::string_view name() const override { return "bell"; }

    [[nodiscard]] std::vector<devices::Region> regions() const override {
        return {{.name = "bell", .space = devices::Space::memory, .size = 0x1000, .mapped = false}};
    }

    std::uint64_t read(unsigned, std::uint64_t, unsigned) override { return 0; }

    void write(unsigned, std::uint64_t offset, unsigned, std::uint64_t) override {
        written.push_back(offset);
        if (on_write) {
            on_write();
        }
    }

    std::vector<std::uint64_t> written;
    std::function<void()> on_write;
};

class Listener final : public cpu::WriteEvents {
public:
    bool add(memory::GuestPhysical address, int eventfd) override {
        return able && heard.emplace(address, eventfd).second;
    }

    void remove(memory::GuestPhysical address, int eventfd) override {
        EXPECT_EQ(heard.at(address), eventfd);
        heard.erase(address);
    }

    [[nodiscard]] std::vector<memory::GuestPhysical> addresses() const {
        std::vector<memory::GuestPhysical> list;
        for (const auto& [address, eventfd] : heard) {
            list.push_back(address);
        }
        return list;
    }

    bool able = true;
    std::map<memory::GuestPhysical, int> heard;
};

using Addresses = std::vector<memory::GuestPhysical>;

class DoorbellsTest : public testing::Test {
protected:
    DoorbellsTest() {
        router.add(bell);
        router.add(other);
        for (const std::uint64_t offset : {0x100, 0x104}) {
            doorbells.add(bell, 0, offset);
        }
        router.on_change([this] { doorbells.follow_map(); });
    }

    Clock clock;
    std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create(clock));
    devices::Router router;
    Bell bell, other;
    Doorbells doorbells{router, *loop};
    Listener listener;
};

TEST_F(DoorbellsTest, AreHeardWhereTheyAre) {
    doorbells.listen_by(&listener);
    EXPECT_EQ(listener.addresses(), Addresses{}) << "not mapped";
    router.map(bell, 0, 0xC000'0000);
    EXPECT_EQ(listener.addresses(), (Addresses{0xC000'0100, 0xC000'0104}));
    router.map(bell, 0, 0xD000'0000);
    EXPECT_EQ(listener.addresses(), (Addresses{0xD000'0100, 0xD000'0104}));
    router.map(bell, 0, std::nullopt);
    EXPECT_EQ(listener.addresses(), Addresses{});
}

TEST_F(DoorbellsTest, ThatAreCoveredAreNotHeard) {
    doorbells.listen_by(&listener);
    router.map(bell, 0, 0xC000'0000);
    router.map(other, 0, 0xC000'0000);
    EXPECT_EQ(listener.addresses(), Addresses{});
    router.map(other, 0, std::nullopt);
    EXPECT_EQ(listener.addresses(), (Addresses{0xC000'0100, 0xC000'0104}));
}

TEST_F(DoorbellsTest, TheNextEngineHearsThemToo) {
    Listener before;
    router.map(bell, 0, 0xC000'0000);
    doorbells.listen_by(&before);
    doorbells.listen_by(nullptr);
    router.map(bell, 0, 0xD000'0000);
    doorbells.listen_by(&listener);
    EXPECT_EQ(listener.addresses(), (Addresses{0xD000'0100, 0xD000'0104}));
    EXPECT_EQ(before.addresses(), (Addresses{0xC000'0100, 0xC000'0104})) << "it forgets by itself";
}

TEST_F(DoorbellsTest, AnEngineMayRefuse) {
    listener.able = false;
    doorbells.listen_by(&listener);
    router.map(bell, 0, 0xC000'0000);
    listener.able = true;
    router.map(bell, 0, 0xD000'0000); // nothing is removed that was not added
    EXPECT_EQ(listener.addresses(), (Addresses{0xD000'0100, 0xD000'0104}));
}

TEST_F(DoorbellsTest, ARingIsAWrite) {
    doorbells.listen_by(&listener);
    router.map(bell, 0, 0xC000'0000);
    bell.on_write = [this] { loop->stop(); };
    ASSERT_EQ(::eventfd_write(listener.heard.at(0xC000'0104), 3), 0);
    loop->run();
    EXPECT_EQ(bell.written, std::vector<std::uint64_t>{0x104});
}

} // namespace
} // namespace strata::machine
