// The split virtqueue against drivers that do as the specification says, and against those that do not.
#include <gtest/gtest.h>

#include "devices/virtio/queue.hpp"
#include "virtio_driver.hpp"

namespace strata::devices::virtio {
namespace {

constexpr std::uint16_t size = 8;

class VirtioQueue : public testing::Test {
protected:
    void enable(Queue::Format format = {}) {
        queue.rings() = driver.rings();
        queue.enable(format);
    }

    std::string read_all(Chain& chain) {
        std::string bytes(chain.readable(), '\0');
        chain.read(std::as_writable_bytes(std::span(bytes)));
        return bytes;
    }

    // The chain at the head of the queue is refused, and so is everything after it.
    void expect_broken() {
        EXPECT_FALSE(queue.pop());
        EXPECT_TRUE(queue.broken());
        EXPECT_FALSE(queue.pop());
    }

    TestMachine machine;
    Arena arena{*machine.memory};
    DriverQueue driver{arena, size};
    Queue queue{*machine.memory, size};
};

TEST_F(VirtioQueue, GivesChainsInOrderAndTakesThemBack) {
    enable();
    EXPECT_FALSE(queue.pop());
    const auto out = arena.put("question"), in = arena.allocate(16);
    const auto head =
        driver.submit({readable(out, 3), readable(out + 3, 5), writable(in, 2), writable(in + 2, 6)});

    auto chain = queue.pop();
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->readable(), 8U);
    EXPECT_EQ(chain->writable(), 8U);
    EXPECT_EQ(read_all(*chain), "question");
    const std::string answer = "answer";
    EXPECT_EQ(chain->write(std::as_bytes(std::span(answer))), 6U);
    EXPECT_EQ(arena.get(in, 6), answer);
    EXPECT_FALSE(queue.pop());

    queue.push(*chain);
    const auto used = driver.take_used();
    ASSERT_EQ(used.size(), 1U);
    EXPECT_EQ(used[0].head, head);
    EXPECT_EQ(used[0].written, 6U);
    EXPECT_FALSE(queue.broken());
}

TEST_F(VirtioQueue, ReadsIndirectTables) {
    enable({.indirect = true});
    driver.offer(driver.indirect({readable(arena.put("ab"), 2), readable(arena.put("cd"), 2)}));
    auto chain = queue.pop();
    ASSERT_TRUE(chain);
    EXPECT_EQ(read_all(*chain), "abcd");
}

TEST_F(VirtioQueue, TakesIndirectTablesLongerThanTheQueue) {
    enable({.indirect = true});
    driver.offer(driver.indirect(std::vector<Descriptor>(500, readable(arena.put("x"), 1))));
    auto chain = queue.pop();
    ASSERT_TRUE(chain);
    EXPECT_EQ(read_all(*chain), std::string(500, 'x'));
}

TEST_F(VirtioQueue, IndexesWrapAround) {
    enable();
    const auto data = arena.put("x");
    for (unsigned i = 0; i < 70000; ++i) {
        const auto head = driver.submit({readable(data, 1)});
        const auto chain = queue.pop();
        ASSERT_TRUE(chain);
        ASSERT_EQ(chain->head(), head);
        queue.push(*chain);
        ASSERT_EQ(driver.take_used().size(), 1U);
    }
}

TEST_F(VirtioQueue, TellsTheEnginesWhatWasWritten) {
    enable();
    const auto in = arena.allocate(1 << 16);
    driver.submit({writable(in, 1 << 16)});
    static_cast<void>(machine.memory->take_dirty());
    auto chain = queue.pop();
    ASSERT_TRUE(chain);
    chain->write_in_place(5000, [](auto) { return true; });
    EXPECT_TRUE(machine.memory->is_dirty(in));
    EXPECT_TRUE(machine.memory->is_dirty(in + 4999));
    EXPECT_FALSE(machine.memory->is_dirty(in + 12288));
    queue.push(*chain);
    EXPECT_TRUE(machine.memory->is_dirty(driver.rings().used));
}

TEST_F(VirtioQueue, AnUndonePopComesAgain) {
    enable();
    const auto head = driver.submit({readable(arena.put("x"), 1)});
    ASSERT_TRUE(queue.pop());
    queue.undo_pop();
    const auto again = queue.pop();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->head(), head);
}

TEST_F(VirtioQueue, SplitsAStatusFromTheEndOfAChain) {
    enable();
    const auto in = arena.allocate(16);
    driver.submit({writable(in, 4), writable(in + 4, 2), writable(in + 6, 1)});
    auto chain = queue.pop();
    ASSERT_TRUE(chain);
    auto tail = chain->split_tail(3);
    EXPECT_EQ(chain->writable(), 4U);
    EXPECT_EQ(tail.writable(), 3U);
    const std::string text = "end";
    tail.write(std::as_bytes(std::span(text)));
    EXPECT_EQ(arena.get(in + 4, 3), "end");
}

TEST_F(VirtioQueue, InterruptsUnlessTheDriverSuppressesThem) {
    enable();
    EXPECT_FALSE(queue.take_interrupt());
    const auto data = arena.put("x");
    driver.submit({readable(data, 1)});
    queue.push(*queue.pop());
    EXPECT_TRUE(queue.take_interrupt());
    EXPECT_FALSE(queue.take_interrupt()) << "one interrupt for what was pushed once";
    driver.suppress_interrupts(true);
    driver.submit({readable(data, 1)});
    queue.push(*queue.pop());
    EXPECT_FALSE(queue.take_interrupt());
}

TEST_F(VirtioQueue, EventIndexSaysWhichEntryInterrupts) {
    enable({.event_index = true});
    const auto data = arena.put("x");
    driver.set_used_event(1); // when the entry with index 1 is used
    std::vector<bool> interrupts;
    for (int i = 0; i < 4; ++i) {
        driver.submit({readable(data, 1)});
        queue.push(*queue.pop());
        interrupts.push_back(queue.take_interrupt());
    }
    EXPECT_EQ(interrupts, (std::vector<bool>{false, true, false, false}));
}

TEST_F(VirtioQueue, EventIndexAsksForNotificationsOnlyWhenEmpty) {
    enable({.event_index = true});
    const auto data = arena.put("x");
    driver.submit({readable(data, 1)});
    driver.submit({readable(data, 1)});
    ASSERT_TRUE(queue.pop());
    EXPECT_EQ(driver.available_event(), 0);
    ASSERT_TRUE(queue.pop());
    ASSERT_FALSE(queue.pop());
    EXPECT_EQ(driver.available_event(), 2);
}

// From here on the driver is broken or hostile.

TEST_F(VirtioQueue, RefusesALoop) {
    enable();
    driver.set(0, {arena.put("x"), 1, Descriptor::next_flag, 1});
    driver.set(1, {arena.put("x"), 1, Descriptor::next_flag, 0});
    driver.offer(0);
    expect_broken();
}

TEST_F(VirtioQueue, RefusesALoopInAnIndirectTable) {
    enable({.indirect = true});
    const auto table = arena.allocate(32);
    arena.store(table, Descriptor{arena.put("x"), 1, Descriptor::next_flag, 1});
    arena.store(table + 16, Descriptor{arena.put("x"), 1, Descriptor::next_flag, 0});
    driver.submit({{table, 32, Descriptor::indirect_flag, 0}});
    expect_broken();
}

TEST_F(VirtioQueue, RefusesNestedIndirectTables) {
    enable({.indirect = true});
    const auto inner = arena.put_value(readable(arena.put("x"), 1));
    const auto outer = arena.put_value(Descriptor{inner, 16, Descriptor::indirect_flag, 0});
    driver.submit({{outer, 16, Descriptor::indirect_flag, 0}});
    expect_broken();
}

TEST_F(VirtioQueue, RefusesIndirectTablesThatWereNotNegotiated) {
    enable();
    driver.offer(driver.indirect({readable(arena.put("x"), 1)}));
    expect_broken();
}

TEST_F(VirtioQueue, RefusesIndirectTablesOfWrongLength) {
    for (const std::uint32_t length : {0U, 8U, 24U, 0xFFFF'FFF0U}) {
        queue.reset();
        DriverQueue fresh(arena, size);
        queue.rings() = fresh.rings();
        queue.enable({.indirect = true});
        fresh.submit({{arena.allocate(64), length, Descriptor::indirect_flag, 0}});
        expect_broken();
    }
}

TEST_F(VirtioQueue, RefusesAHeadOutsideTheTable) {
    enable();
    driver.offer(size);
    expect_broken();
}

TEST_F(VirtioQueue, RefusesANextOutsideTheTable) {
    enable();
    driver.set(0, {arena.put("x"), 1, Descriptor::next_flag, 0xFFFF});
    driver.offer(0);
    expect_broken();
}

TEST_F(VirtioQueue, RefusesBuffersOutsideMemory) {
    for (const auto& buffer :
         {readable(TestMachine::ram_size, 1), readable(TestMachine::ram_size - 1, 2), writable(~0ULL, 1),
          writable(~0ULL - 4, 0xFFFF'FFFF), readable(0, 0xFFFF'FFFF)}) {
        queue.reset();
        DriverQueue fresh(arena, size);
        queue.rings() = fresh.rings();
        queue.enable({});
        fresh.submit({buffer});
        expect_broken();
    }
}

TEST_F(VirtioQueue, RefusesReadableAfterWritable) {
    enable();
    const auto data = arena.allocate(8);
    driver.submit({writable(data, 1), readable(data, 1)});
    expect_broken();
}

TEST_F(VirtioQueue, RefusesMoreChainsThanTheQueueHolds) {
    enable();
    driver.set_available_index(size + 1);
    expect_broken();
}

TEST_F(VirtioQueue, RefusesToLendMoreThanItHolds) {
    enable();
    const auto data = arena.put("x");
    for (unsigned i = 0; i < size; ++i) {
        driver.submit({readable(data, 1)});
        ASSERT_TRUE(queue.pop());
    }
    driver.submit({readable(data, 1)}); // though none came back
    expect_broken();
}

TEST_F(VirtioQueue, RefusesChainsOfMoreThan4GiB) {
    enable({.indirect = true});
    driver.offer(driver.indirect(std::vector<Descriptor>(1000, readable(0, TestMachine::ram_size))));
    expect_broken();
}

TEST_F(VirtioQueue, RefusesRingsThatCannotBe) {
    const auto good = driver.rings();
    const auto refused = [&](Queue::Rings rings, std::uint16_t ring_size = size) {
        queue.reset();
        queue.rings() = rings;
        queue.set_size(ring_size);
        queue.enable({});
        return queue.broken() && !queue.pop();
    };
    EXPECT_FALSE(refused(good));
    EXPECT_TRUE(refused({good.descriptors + 8, good.available, good.used})) << "not aligned";
    EXPECT_TRUE(refused({good.descriptors, good.available + 1, good.used}));
    EXPECT_TRUE(refused({good.descriptors, good.available, good.used + 2}));
    EXPECT_TRUE(refused({TestMachine::ram_size - 16, good.available, good.used})) << "ends outside memory";
    EXPECT_TRUE(refused({good.descriptors, ~0ULL - 1, good.used}));
    EXPECT_TRUE(refused({good.descriptors, good.available, TestMachine::ram_size}));
    EXPECT_TRUE(refused(good, 0));
    EXPECT_TRUE(refused(good, 3)) << "no power of two";
    EXPECT_TRUE(refused(good, 2 * size)) << "more than the device offers";
}

TEST_F(VirtioQueue, AChainIsWhatItWasWhenTaken) {
    enable();
    const auto out = arena.put("x");
    const auto head = driver.submit({readable(out, 1)});
    auto chain = queue.pop();
    ASSERT_TRUE(chain);
    driver.set(head, {~0ULL, 0xFFFF'FFFF, Descriptor::write_flag | Descriptor::next_flag, head});
    EXPECT_EQ(read_all(*chain), "x");
    EXPECT_EQ(chain->writable(), 0U);
}

} // namespace
} // namespace strata::devices::virtio
