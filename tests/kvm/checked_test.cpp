// The interpreter checked by the host's processor: what differs is found, what does not is counted.
#include "small_machine.hpp"

#include "cpu/kvm/cpuid.hpp"
#include "cpu/lockstep/checked_vcpu.hpp"
#include "cpu/lockstep/memories.hpp"

#include <gmock/gmock.h>

namespace strata::cpu::lockstep {
namespace {

class CheckedByKvm : public testing::Test {
protected:
    CheckedByKvm() {
        machine.load({
            0x01, 0x06, 0x00, 0x50, // add [0x5000], ax
            0x40,                   // inc ax
            0x0F, 0xAF, 0xC8,       // imul cx, ax
            0x9C,                   // pushf: not stepped
            0x58,                   // pop ax
            0xE6, 0x80,             // out 0x80, al
            0xEB, 0xF2,             // jmp to the beginning
        });
        auto system = kvm::System::open();
        EXPECT_TRUE(system) << system.error().message;
        copy = std::move(*new_copy(*machine.memory));
        hardware = std::move(*kvm::Machine::create(std::move(*system), *copy, machine.clock));
        machine.model = *kvm::fit_model(hardware->system(), machine.model);
        auto created =
            CheckedVcpu::create(*machine.memory, *copy, *hardware, machine.clock, machine.config(),
                                machine.bus, {.instructions = 50, .pause = std::chrono::milliseconds(1)});
        EXPECT_TRUE(created) << created.error().message;
        auto start = SmallMachine::start();
        start.gpr[x86::rsp] = 0x8000;
        (*created)->set_state(start);
        vcpu = created->get();
        machine.vcpu = std::move(*created);
        machine.bus.vcpu = vcpu;
    }

    [[nodiscard]] std::uint64_t count(std::string_view name) const {
        for (const auto& [each, value] : vcpu->counts()) {
            if (each == name) {
                return value;
            }
        }
        return 0;
    }

    // Until so many instructions were compared, or something differed.
    void run_until(std::uint64_t compared) const {
        while (count("instructions-compared") < compared && !vcpu->failure()) {
            static_cast<void>(vcpu->run());
        }
    }

    SmallMachine machine;
    std::unique_ptr<memory::GuestMemory> copy;
    std::unique_ptr<kvm::Machine> hardware;
    CheckedVcpu* vcpu = nullptr;
};

TEST_F(CheckedByKvm, NothingDiffers) {
    run_until(1000);
    EXPECT_FALSE(vcpu->failure()) << vcpu->failure()->message;
    EXPECT_GE(count("instructions-compared"), 1000U);
    EXPECT_GT(count("not-steppable"), 0U);
}

// The hardware is made to see other memory than the interpreter: as if one of them had written wrongly.
TEST_F(CheckedByKvm, WhatDiffersIsFound) {
    run_until(100);
    ASSERT_FALSE(vcpu->failure()) << vcpu->failure()->message;
    constexpr int enough = 100'000;
    machine.bus.stops = [this, writes = 0]() mutable {
        const std::uint16_t other = 0x1234;
        EXPECT_TRUE(copy->write(0x5000, &other, sizeof other));
        return ++writes == enough;
    };
    static_cast<void>(vcpu->run());
    ASSERT_TRUE(vcpu->failure());
    EXPECT_THAT(vcpu->failure()->message, testing::HasSubstr("interpreter and processor differ"));
    EXPECT_THAT(vcpu->failure()->message, testing::HasSubstr("memory at 0x5000"));
    EXPECT_EQ(vcpu->run(), Exit::shutdown) << "it does not go on";
}

} // namespace
} // namespace strata::cpu::lockstep
