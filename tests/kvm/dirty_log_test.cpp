// What a guest writes on KVM is seen by the log that all engines share.
#include "small_machine.hpp"

#include <gmock/gmock.h>

namespace strata::cpu {
namespace {

using memory::GuestPhysical;

class KvmDirtyLog : public testing::Test {
protected:
    KvmDirtyLog() {
        machine.load({
            0xA2, 0x00, 0x50, // mov [0x5000], al
            0xE6, 0x80,       // out 0x80, al
            0xA2, 0xFF, 0x9F, // mov [0x9FFF], al
            0xA3, 0xFF, 0xAF, // mov [0xAFFF], ax: two pages
            0xE6, 0x80,       // out 0x80, al
            0xA0, 0x00, 0x70, // mov al, [0x7000]
            0xE6, 0x80,       // out 0x80, al
            0xEB, 0xEC,       // jmp to the beginning
        });
        machine.use_engine("kvm");
    }

    [[nodiscard]] std::vector<GuestPhysical> written() const {
        collect_dirty(*machine.engine);
        return machine.memory->take_dirty();
    }

    SmallMachine machine;
};

TEST_F(KvmDirtyLog, HasThePagesThatWereWritten) {
    const std::vector<GuestPhysical> first{0x5000}, then{0x9000, 0xA000, 0xB000};
    machine.run();
    EXPECT_EQ(written().size(), SmallMachine::size / memory::page_size) << "not watched before: all may be";
    machine.run();
    EXPECT_THAT(written(), testing::IsSupersetOf(then));
    machine.run();
    static_cast<void>(written()); // the kernel may count what a guest reads for the first time
    for (int round = 0; round < 3; ++round) {
        machine.run();
        EXPECT_THAT(written(), testing::ElementsAreArray(first));
        machine.run();
        EXPECT_THAT(written(), testing::ElementsAreArray(then));
        machine.run();
        EXPECT_THAT(written(), testing::IsEmpty()) << "it only read";
    }
}

TEST_F(KvmDirtyLog, HasWhatDevicesWriteToo) {
    static_cast<void>(written());
    const std::uint32_t word = 1;
    ASSERT_TRUE(machine.memory->write(0x3000, &word, sizeof word));
    machine.run();
    EXPECT_THAT(written(), testing::IsSupersetOf<GuestPhysical>({0x3000, 0x5000}));
}

TEST_F(KvmDirtyLog, StaysWhenTheMachineMoves) {
    for (int step = 0; step < 3; ++step) { // all pages have been touched
        machine.run();
        static_cast<void>(written());
    }
    machine.run();
    collect_dirty(*machine.engine);
    machine.use_engine("interpreter");
    machine.run();
    EXPECT_THAT(written(), testing::ElementsAre(0x5000, 0x9000, 0xA000, 0xB000)) << "of both engines";
}

} // namespace
} // namespace strata::cpu
