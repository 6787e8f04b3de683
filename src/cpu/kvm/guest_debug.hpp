// What a debugger wants of a vCPU, by the processor's own means: four debug registers and single steps. More
// breakpoints than registers are found by stepping. SDM volume 3 chapter 17; KVM_SET_GUEST_DEBUG.
#pragma once

#include "cpu/engine.hpp"

#include <linux/kvm.h>
#include <optional>

namespace strata::cpu::kvm {

class GuestDebug {
public:
    void set(const DebugControl& control);

    // At the begin of a run that starts at this linear address: a breakpoint there is passed.
    void begin(std::uint64_t linear);

    // What the kernel has to be told, if it does not know it yet.
    [[nodiscard]] std::optional<kvm_guest_debug> request();

    // After KVM_EXIT_DEBUG: whether the run ends; event() says
    // why.
    [[nodiscard]] bool stopped(const kvm_debug_exit_arch& exit);
    [[nodiscard]] bool stepped(std::uint64_t linear);

    [[nodiscard]] bool has_breakpoints() const { return !control_.breakpoints.empty(); }

    [[nodiscard]] bool stepping() const { return steps_ || passing_; }

    [[nodiscard]] const DebugEvent& event() const { return event_; }

private:
    void place_registers();
    [[nodiscard]] bool has_breakpoint(std::uint64_t linear) const;

    struct Register {
        std::uint64_t address;
        std::uint64_t control; // R/W and LEN, as in DR7
        DebugEvent::Kind kind;
        bool write;
    };

    DebugControl control_;
    std::vector<Register> registers_; // at most 4
    bool steps_ = false;              // every instruction is looked at
    bool passing_ = false;            // the first one runs without breakpoints
    bool told_ = true;                // the kernel knows
    DebugEvent event_{};
};

} // namespace strata::cpu::kvm
