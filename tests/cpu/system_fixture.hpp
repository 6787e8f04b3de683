// A processor with descriptor tables in a little memory, for tests of the system architecture.
#pragma once

#include "cpu/interpreter/decoder.hpp"
#include "cpu/x86/descriptor.hpp"
#include "cpu_fixture.hpp"

#include <optional>
#include <utility>

namespace strata::cpu::interpreter {

// ---- descriptors ----

enum class Size : std::uint8_t { bits16, bits32, bits64 };

// A segment descriptor of 4 GiB (1 MiB without granularity, for 16 bits).
constexpr std::uint64_t segment_descriptor(unsigned type, unsigned dpl, Size size, bool present = true) {
    const std::uint64_t flags = size == Size::bits16 ? 0 : size == Size::bits32 ? 0xC : 0xA;
    return 0x000F'0000'0000'FFFF | flags << 52 | std::uint64_t{present} << 47 | std::uint64_t{dpl} << 45 |
           std::uint64_t{1} << 44 | std::uint64_t{type} << 40;
}

constexpr unsigned code_type = 0xA, conforming_type = 0xE, execute_only_type = 8, data_type = 2,
                   read_only_type = 0;

constexpr std::uint64_t system_descriptor(x86::SystemType type, std::uint32_t base, std::uint32_t limit,
                                          unsigned dpl = 0) {
    return (limit & 0xFFFF) | std::uint64_t{base & 0xFF'FFFF} << 16 | std::uint64_t{base >> 24} << 56 |
           std::uint64_t{1} << 47 | std::uint64_t{dpl} << 45 | static_cast<std::uint64_t>(type) << 40;
}

constexpr std::uint64_t gate(x86::SystemType type, std::uint16_t selector, std::uint32_t offset,
                             unsigned dpl = 0, unsigned count = 0) {
    return (offset & 0xFFFF) | std::uint64_t{selector} << 16 | std::uint64_t{count} << 32 |
           std::uint64_t{1} << 47 | std::uint64_t{dpl} << 45 | static_cast<std::uint64_t>(type) << 40 |
           std::uint64_t{offset >> 16} << 48;
}

constexpr std::uint64_t not_present(std::uint64_t descriptor) {
    return descriptor & ~(std::uint64_t{1} << 47);
}

class SystemTest : public ::testing::Test {
protected:
    // Where things are, and the GDT's usual entries as selectors.
    static constexpr std::uint32_t gdt = 0x1000, idt = 0x2000, tss = 0x3000, ldt = 0x4000, other_tss = 0x5000;
    static constexpr std::uint32_t stack0 = 0x8000, stack3 = 0x9000, interrupt_stack = 0xA000;
    static constexpr std::uint16_t code0 = 0x08, data0 = 0x10, code3 = 0x1B, data3 = 0x23, task = 0x28,
                                   task_high = 0x30, free1 = 0x38, free2 = 0x40, free3 = 0x48,
                                   conforming0 = 0x50, wide_code0 = 0x58, wide_code3 = 0x63;

    explicit SystemTest(std::string_view model = "max")
        : memory_(std::move(*memory::GuestMemory::create(1 << 20))), shared_(*memory_, clock_),
          decoder_(**x86::find_model(model)), cpu(shared_, config(model), bus) {
        cpu.reset();
    }

    static VcpuConfig config(std::string_view model) {
        VcpuConfig config;
        config.model = *x86::find_model(model);
        return config;
    }

    // Protected mode at a privilege level, with a flat GDT, an IDT of absent gates and a 32-bit TSS.
    void enter_protected(unsigned cpl, Size size = Size::bits32) {
        cpu.system.gdtr = {gdt, 0xFF};
        cpu.system.idtr = {idt, 0x7FF};
        set_gdt(code0, segment_descriptor(code_type, 0, size));
        set_gdt(data0, segment_descriptor(data_type, 0, size));
        set_gdt(code3, segment_descriptor(code_type, 3, size));
        set_gdt(data3, segment_descriptor(data_type, 3, size));
        set_gdt(conforming0, segment_descriptor(conforming_type, 0, size));
        set_gdt(wide_code0, segment_descriptor(code_type, 0, Size::bits64));
        set_gdt(wide_code3, segment_descriptor(code_type, 3, Size::bits64));
        const auto busy = system_descriptor(x86::SystemType::tss32_busy, tss, 0x20FF);
        set_gdt(task, busy);
        cpu.system.tr = x86::Descriptor{busy}.segment(task);
        write<std::uint32_t>(tss + 4, stack0);
        write<std::uint16_t>(tss + 8, data0);
        write<std::uint16_t>(tss + 0x66, 0x80);
        cpu.system.cr0 |= x86::cr0::pe;
        enter_privilege(cpl);
    }

    void enter_privilege(unsigned cpl) {
        const std::uint16_t code = cpl == 0 ? code0 : code3, data = cpl == 0 ? data0 : data3;
        cpu.system.segments.fill(x86::Descriptor{read<std::uint64_t>(gdt + (data & ~7))}.segment(data));
        cpu.system.segments[x86::cs] = x86::Descriptor{read<std::uint64_t>(gdt + (code & ~7))}.segment(code);
        cpu.regs[x86::rsp] = cpl == 0 ? stack0 : stack3;
        cpu.rip() = 0x7000;
        cpu.set_cpl(cpl);
    }

    // IA-32e mode with the first 1 GiB mapped one to one for everybody, 64-bit or compatibility code.
    void enter_long(unsigned cpl, bool wide = true) {
        enter_protected(cpl);
        constexpr std::uint32_t pml4 = 0x10000, pdpt = 0x11000, pd = 0x12000;
        constexpr std::uint64_t table = 7, large = 0x87;
        write<std::uint64_t>(pml4, pdpt | table);
        write<std::uint64_t>(pdpt, pd | table);
        for (std::uint32_t i = 0; i < 512; ++i) {
            write<std::uint64_t>(pd + i * 8, (std::uint64_t{i} << 21) | large);
        }
        write<std::uint64_t>(tss + 4, stack0);
        cpu.system.cr3 = pml4;
        cpu.system.cr4 |= x86::cr4::pae;
        cpu.system.efer |= x86::efer::lme | x86::efer::lma | x86::efer::sce;
        cpu.system.cr0 |= x86::cr0::pg;
        cpu.system.idtr.limit = 0xFFF;
        if (wide) {
            const std::uint16_t code = cpl == 0 ? wide_code0 : wide_code3;
            cpu.system.segments[x86::cs] =
                x86::Descriptor{read<std::uint64_t>(gdt + (code & ~7))}.segment(code);
        }
        cpu.mode_changed();
    }

    void enter_v86(unsigned iopl) {
        enter_protected(0);
        for (unsigned i = 0; i < 6; ++i) {
            cpu.system.segments[i] = x86::v86_segment(static_cast<std::uint16_t>(0x700 + i));
        }
        cpu.other_flags |= x86::flag::vm | std::uint64_t{iopl} << 12;
        cpu.regs[x86::rsp] = 0x1000;
        cpu.rip() = 0x123;
        cpu.set_cpl(3);
    }

    void set_gdt(std::uint16_t selector, std::uint64_t low, std::optional<std::uint64_t> high = {}) {
        write<std::uint64_t>(gdt + (selector & ~7U), low);
        if (high) {
            write<std::uint64_t>(gdt + (selector & ~7U) + 8, *high);
        }
    }

    void set_idt(unsigned vector, std::uint64_t low, std::optional<std::uint64_t> high = {}) {
        write<std::uint64_t>(idt + vector * (high ? 16 : 8), low);
        if (high) {
            write<std::uint64_t>(idt + vector * 16 + 8, *high);
        }
    }

    template <class T>
    T read(std::uint64_t address) {
        T value{};
        EXPECT_TRUE(memory_->read(address, &value, sizeof value));
        return value;
    }

    template <class T>
    void write(std::uint64_t address, std::type_identity_t<T> value) {
        EXPECT_TRUE(memory_->write(address, &value, sizeof value));
    }

    // The fault that `act` raises, as (vector, error code).
    using Raised = std::optional<std::pair<x86::Vector, std::uint32_t>>;

    template <class Act>
    Raised fault_of(Act act) {
        try {
            act();
        } catch (const Fault& fault) {
            return std::pair{fault.vector, fault.error_code};
        }
        return std::nullopt;
    }

    static Raised raised(x86::Vector vector, std::uint32_t error = 0) { return std::pair{vector, error}; }

    static Raised gp(std::uint32_t error = 0) { return std::pair{x86::Vector::general_protection, error}; }

    static Raised np(std::uint32_t error) { return std::pair{x86::Vector::segment_not_present, error}; }

    static Raised ss(std::uint32_t error) { return std::pair{x86::Vector::stack_fault, error}; }

    static Raised ts(std::uint32_t error) { return std::pair{x86::Vector::invalid_tss, error}; }

    static constexpr std::nullopt_t none = std::nullopt;

    // Carries out one instruction, given as bytes, in the current mode.
    Raised execute(std::initializer_list<int> code) {
        cpu.begin_block();
        const std::vector<std::uint8_t> bytes(code.begin(), code.end());
        const x86::Segment& cs = cpu.system.segments[x86::cs];
        const CodeMode mode{.size = cpu.code64() ? CodeMode::Size::bits64
                                    : cs.big()   ? CodeMode::Size::bits32
                                                 : CodeMode::Size::bits16,
                            .real_or_v86 = cpu.real_or_v86()};
        const Decoder::Result decoded = decoder_.decode(mode, bytes);
        EXPECT_EQ(decoded.status, Decoder::Status::ok);
        return fault_of([&] {
            cpu.rip() += decoded.insn.length;
            decoded.insn.handler(cpu, decoded.insn);
        });
    }

    std::uint16_t selector(unsigned segment) const { return cpu.system.segments[segment].selector; }

private:
    std::unique_ptr<memory::GuestMemory> memory_;
    Clock clock_;
    Shared shared_;
    Decoder decoder_;

protected:
    testing::FakeBus bus;
    Cpu cpu;
};

} // namespace strata::cpu::interpreter
