// The architectural state of an x86 processor, in the form in which every engine gives and takes it.
// Sources: Intel SDM volume 1 chapter 3 and 8, volume 3 chapters 2, 4 and 17; AMD APM volume 2.
#pragma once

#include <array>
#include <cstdint>

namespace strata::cpu::x86 {

enum Register : std::uint8_t { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

enum SegmentIndex : std::uint8_t { es, cs, ss, ds, fs, gs };

// A segment register with its hidden part.
struct Segment {
    std::uint16_t selector = 0;
    std::uint64_t base = 0;
    std::uint32_t limit = 0xFFFF; // in bytes, granularity already applied
    // Access rights as in a descriptor's second doubleword, shifted right by 8: type 3:0, S 4, DPL 6:5, P 7,
    // AVL 12, L 13, D/B 14, G 15.
    std::uint16_t attributes = 0;
    bool unusable = false; // a null selector was loaded

    [[nodiscard]] unsigned type() const { return attributes & 0xF; }

    [[nodiscard]] bool is_code_or_data() const { return attributes & 0x10; }

    [[nodiscard]] unsigned dpl() const { return (attributes >> 5) & 3; }

    [[nodiscard]] bool present() const { return attributes & 0x80; }

    [[nodiscard]] bool long_mode() const { return attributes & 0x2000; }

    [[nodiscard]] bool big() const { return attributes & 0x4000; } // D for code, B for stack

    bool operator==(const Segment&) const = default;
};

struct DescriptorTable {
    std::uint64_t base = 0;
    std::uint16_t limit = 0xFFFF;

    bool operator==(const DescriptorTable&) const = default;
};

// Control registers, descriptor tables, debug registers and MSRs.
struct SystemState {
    std::uint64_t cr0 = 0x6000'0010, cr2 = 0, cr3 = 0, cr4 = 0;
    std::uint64_t efer = 0;
    std::array<Segment, 6> segments{}; // by SegmentIndex
    Segment ldtr{}, tr{};
    DescriptorTable gdtr{}, idtr{};
    std::array<std::uint64_t, 4> dr{}; // DR0 to DR3
    std::uint64_t dr6 = 0xFFFF'0FF0, dr7 = 0x400;
    std::uint64_t xcr0 = 1, xss = 0;
    // MSRs (SDM volume 4), by name without IA32_.
    std::uint64_t star = 0, lstar = 0, cstar = 0, fmask = 0, kernel_gs_base = 0, tsc_aux = 0;
    std::uint64_t sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
    std::uint64_t pat = 0x0007'0406'0007'0406, misc_enable = 1, debug_ctl = 0, spec_ctrl = 0;
    std::uint64_t mtrr_def_type = 0;
    std::array<std::uint64_t, 11> mtrr_fixed{};
    std::array<std::uint64_t, 16> mtrr_variable{}; // base and mask in turn
    std::uint64_t mcg_status = 0, mcg_ctl = 0;
    std::int64_t tsc_offset = 0; // added to the machine's clock reckoned in TSC ticks
    std::uint64_t tsc_adjust = 0;
    std::uint64_t smbase = 0x30000;

    bool operator==(const SystemState&) const = default;
};

// An 80-bit extended-precision number.
struct Float80 {
    std::uint64_t significand = 0;
    std::uint16_t sign_exponent = 0;

    bool operator==(const Float80&) const = default;
};

struct alignas(32) Vector256 {
    std::array<std::uint64_t, 4> lanes{};

    bool operator==(const Vector256&) const = default;
};

// x87, MMX, SSE and AVX registers.
struct FpState {
    std::array<Float80, 8> physical{};   // R0 to R7; ST(i) is R((TOP + i) & 7), MMi is Ri's significand
    std::uint16_t fcw = 0x0040, fsw = 0; // TOP is in fsw[13:11]
    // Bit i is set when Ri is not empty, as in FXSAVE's abridged tag word. The finer tags that FSTENV stores
    // are those of the registers' contents, and made then.
    std::uint8_t abridged_tag = 0xFF;
    std::uint16_t fop = 0; // last opcode, 11 bits
    std::uint16_t fcs = 0, fds = 0;
    std::uint64_t fip = 0, fdp = 0; // last instruction's and operand's address
    std::array<Vector256, 16> ymm{};
    std::uint32_t mxcsr = 0x1F80;

    bool operator==(const FpState&) const = default;
};

enum class Activity : std::uint8_t { active, halted, shutdown, wait_sipi };

struct State {
    std::array<std::uint64_t, 16> gpr{}; // by Register
    std::uint64_t rip = 0xFFF0;
    std::uint64_t rflags = 2;
    SystemState system{};
    FpState fp{};
    Activity activity = Activity::active;
    bool sti_shadow = false;   // STI just enabled interrupts
    bool movss_shadow = false; // MOV SS or POP SS just executed
    bool nmi_blocked = false;  // until IRET
    bool in_smm = false;

    bool operator==(const State&) const = default;
};

} // namespace strata::cpu::x86
