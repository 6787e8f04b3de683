// A machine without devices, whose processor runs a few bytes of code in real mode, to the next write to a
// port.
#pragma once

#include "cpu/assistance.hpp"
#include "cpu/empty_bus.hpp"
#include "cpu/x86/model_changes.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

namespace strata::cpu {

// Ends the run at a write to a port, if that is wanted.
class StoppingBus final : public EmptyBus {
public:
    Vcpu* vcpu = nullptr;
    std::function<bool()> stops = [] { return true; };

    void write_port(std::uint16_t, unsigned, std::uint32_t) override {
        if (stops()) {
            signal(*vcpu, Signals::leave);
        }
    }
};

class SmallMachine {
public:
    static constexpr memory::GuestPhysical code = 0x1000;
    static constexpr std::uint64_t size = std::uint64_t{4} << 20;

    SmallMachine() : memory(*memory::GuestMemory::create(size)), tsc_hz(preferred_tsc_hz()) {}

    void load(std::initializer_list<std::uint8_t> bytes) const {
        ASSERT_TRUE(memory->write(code, bytes.begin(), bytes.size()));
    }

    [[nodiscard]] VcpuConfig config() const { return {.model = &model, .tsc_hz = tsc_hz}; }

    // The processor is of this engine from now on; the first one begins at the code.
    void use_engine(std::string_view name) {
        const auto before = vcpu ? vcpu->state() : start();
        auto created = create_engine(name, *memory, clock);
        ASSERT_TRUE(created) << created.error().message;
        const auto fitted = model_for(**created, config());
        ASSERT_TRUE(fitted) << fitted.error().message;
        model = *fitted;
        auto made = (*created)->create_vcpu(config(), bus);
        ASSERT_TRUE(made) << made.error().message;
        vcpu = std::move(*made);
        engine = std::move(*created);
        vcpu->set_state(before);
        bus.vcpu = vcpu.get();
    }

    // Real mode, flat, at the code.
    [[nodiscard]] static x86::State start() {
        x86::State state;
        for (auto& segment : state.system.segments) {
            segment.attributes = 0x93; // data, writable, accessed, present
        }
        state.system.segments[x86::cs].attributes = 0x9B;
        state.system.ldtr.attributes = 0x82;
        state.system.tr.attributes = 0x8B;
        state.rip = code;
        return state;
    }

    // To the next write to a port.
    void run() const {
        ASSERT_EQ(vcpu->run(), Exit::requested) << (failure(*vcpu) ? failure(*vcpu)->message : "");
    }

    std::unique_ptr<memory::GuestMemory> memory;
    Clock clock;
    std::uint64_t tsc_hz;
    x86::Model model = *x86::parse_model("max,-xsave"); // QEMU's AMD-V can't have it
    StoppingBus bus;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Vcpu> vcpu;
};

} // namespace strata::cpu
