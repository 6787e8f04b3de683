// What control transfers share: far branches, returns, interrupts, task switches. SDM volume 3
// sections 5.8, 6.12.
#pragma once

#include "cpu/interpreter/descriptors.hpp"

namespace strata::cpu::interpreter {

// Where control goes: checks the offset against a code segment, or for being canonical: #GP(0).
void check_target(Cpu& cpu, const x86::Segment& code, std::uint64_t offset);

// The segment register that a code segment fills, with the CPL as its selector's RPL; #NP if it is not
// present.
[[nodiscard]] x86::Segment loaded_code(Cpu& cpu, std::uint16_t selector, x86::Descriptor descriptor,
                                       unsigned privilege);

// Goes to an offset in a code segment, with the CPL and the mode that come with it. SS is reckoned anew too.
void transfer(Cpu& cpu, const x86::Segment& code, std::uint64_t offset, unsigned privilege);

// What a far return or IRET goes back to, with all checks: its RPL is the new CPL.
[[nodiscard]] x86::Segment return_code_segment(Cpu& cpu, std::uint16_t selector);
// The stack that belongs to it when the CPL changes, or in IRET from 64-bit mode.
[[nodiscard]] x86::Segment return_stack_segment(Cpu& cpu, std::uint16_t selector, const x86::Segment& code);
// After a return to a lower privilege: data segments that the new CPL may not use become null.
void drop_privileged_segments(Cpu& cpu);

// Restores what a control transfer has changed so far, if a fault leaves the scope before commit().
class Transaction {
public:
    explicit Transaction(Cpu& cpu)
        : cpu_(cpu), cs_(cpu.system.segments[x86::cs]), ss_(cpu.system.segments[x86::ss]),
          rsp_(cpu.regs[x86::rsp]), rip_(cpu.rip()), other_flags_(cpu.other_flags), cpl_(cpu.cpl()) {}

    ~Transaction() {
        if (!committed_) {
            roll_back();
        }
    }

    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    void commit() { committed_ = true; }

private:
    void roll_back();

    Cpu& cpu_;
    x86::Segment cs_, ss_;
    std::uint64_t rsp_, rip_, other_flags_;
    unsigned cpl_;
    bool committed_ = false;
};

} // namespace strata::cpu::interpreter
