// What processors tell each other of memory that holds code.
#include "cpu/interpreter/shared.hpp"

#include <atomic>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <thread>

namespace strata::cpu::interpreter {
namespace {

constexpr std::uint64_t page = 0x3000;

struct World {
    Clock clock{0};
    std::unique_ptr<memory::GuestMemory> memory = memory::GuestMemory::create(1 << 20).value();
    Shared shared{*memory, clock};
};

// A processor as far as code in memory goes: whether it may write to the page without looking.
struct Processor {
    explicit Processor(Shared& all) : shared(all) { shared.attach(mailbox); }

    ~Processor() { shared.detach(mailbox); }

    Processor(const Processor&) = delete;
    Processor& operator=(const Processor&) = delete;

    // Returns the granules that were written.
    std::uint64_t take() {
        std::uint64_t written = 0;
        if (!mailbox.empty()) {
            mailbox.take([&](const CodeNotice& notice) {
                written |= notice.written;
                direct = direct && notice.written != 0;
            });
        }
        return written;
    }

    std::uint64_t mark(std::uint64_t granules) {
        if (shared.mark_code(page, granules, mailbox)) {
            direct = false;
        }
        std::uint64_t written = take();
        while (!shared.others_settled(mailbox)) {
            std::this_thread::yield();
            written |= take();
        }
        return written;
    }

    Shared& shared;
    Signals signals;
    CodeMailbox mailbox{signals};
    bool direct = false;
};

TEST(SharedCode, WhoMarksAPageSecondWaitsForTheSame) {
    World world;
    Processor first(world.shared), second(world.shared), writer(world.shared);
    writer.direct = true;
    writer.mailbox.enter();
    EXPECT_TRUE(world.shared.mark_code(page, 1, first.mailbox));
    EXPECT_FALSE(world.shared.others_settled(first.mailbox));
    EXPECT_FALSE(world.shared.mark_code(page, 2, second.mailbox)) << "the page had code already";
    EXPECT_FALSE(world.shared.others_settled(second.mailbox)) << "but the third may still write to it";
    writer.take();
    EXPECT_FALSE(writer.direct);
    EXPECT_TRUE(world.shared.others_settled(second.mailbox));
    world.shared.mark_code(page, 4, second.mailbox);
    EXPECT_TRUE(world.shared.others_settled(second.mailbox)) << "no news: nothing to wait for";
}

TEST(SharedCode, OneThatIsNotAtWorkIsNotWaitedFor) {
    World world;
    Processor marker(world.shared), away(world.shared);
    EXPECT_TRUE(world.shared.mark_code(page, 1, marker.mailbox));
    EXPECT_TRUE(world.shared.others_settled(marker.mailbox));
    EXPECT_FALSE(away.mailbox.empty()) << "it learns of it when it comes back";
}

// Two processors decode granules of their own over and over; a third writes to both, as if no code were there
// whenever it may. What one has decoded and was not told of since is what memory holds.
TEST(SharedCode, WhatIsDecodedIsTrueOrTold) {
    World world;
    auto* const bytes = reinterpret_cast<std::atomic<std::uint64_t>*>(world.memory->host(page, 4096));
    constexpr std::uint64_t rounds = 100;
    constexpr std::uint64_t words_a_granule = 8;
    Processor writer(world.shared);
    Processor markers[2]{Processor(world.shared), Processor(world.shared)};
    std::atomic<bool> ended{false};
    std::jthread thread([&] {
        writer.mailbox.enter();
        for (std::uint64_t value = 1; value <= rounds; ++value) {
            writer.take();
            std::this_thread::yield();
            for (unsigned i = 0; i < 2; ++i) {
                // What Cpu::fill() does, then a store.
                writer.direct = writer.direct || !world.shared.has_code(page);
                bytes[i * words_a_granule].store(value, std::memory_order_relaxed);
                if (!writer.direct) {
                    world.memory->written(page + i * 64, 8);
                }
            }
        }
        writer.take();
        writer.mailbox.leave();
        ended = true;
    });
    const auto decode = [&](unsigned i) {
        Processor& self = markers[i];
        self.mailbox.enter();
        for (unsigned round = 0; !ended; ++round) {
            const std::uint64_t granule = std::uint64_t{1} << i;
            while ((self.mark(granule) & granule) != 0) { // written meanwhile: decoded anew
            }
            const std::uint64_t decoded = bytes[i * words_a_granule].load(std::memory_order_relaxed);
            // It runs for a while; then memory still holds that, or a notice came.
            std::this_thread::yield();
            const bool same = bytes[i * words_a_granule].load(std::memory_order_relaxed) == decoded;
            std::uint64_t told = self.take();
            for (unsigned wait = 0; !same && (told & granule) == 0 && wait < 10'000; ++wait) {
                std::this_thread::yield(); // the writer is on its way to telling
                told |= self.take();
            }
            EXPECT_TRUE(same || (told & granule) != 0) << "round " << round;
        }
        self.mailbox.leave();
    };
    {
        std::jthread other([&] { decode(1); });
        decode(0);
    }
}

// What is known of half a terabyte that nobody touches takes none of the host's memory.
TEST(SharedCode, LargeMemoryIsCheap) {
    const auto resident = [] {
        std::ifstream file("/proc/self/statm");
        std::uint64_t total = 0, pages = 0;
        file >> total >> pages;
        return pages * 4096;
    };
    Clock clock{0};
    const auto memory = memory::GuestMemory::create(std::uint64_t{512} << 30).value();
    const auto before = resident();
    const Shared shared(*memory, clock);
    EXPECT_LT(resident() - before, 4U << 20);
}

} // namespace
} // namespace strata::cpu::interpreter
