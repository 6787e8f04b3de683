#include "cpu_fixture.hpp"

namespace strata::cpu::testing {

namespace {

constexpr std::uint8_t hlt = 0xF4;

x86::Segment flat(std::uint16_t selector, std::uint16_t attributes) {
    return {.selector = selector, .base = 0, .limit = 0xFFFF'FFFF, .attributes = attributes};
}

} // namespace

TestCpu::TestCpu(Mode mode, std::string_view model)
    : memory(memory::GuestMemory::create(ram_size).value()),
      shared(std::make_unique<interpreter::Shared>(*memory, clock)), mode_(mode) {
    VcpuConfig config;
    config.model = x86::find_model(model).value();
    cpu = std::make_unique<interpreter::Cpu>(*shared, config, bus);
    enter(mode);
}

void TestCpu::enter(Mode mode) {
    x86::State state = cpu->state();
    state.rip = code_at;
    state.gpr.fill(0);
    state.gpr[x86::rsp] = stack_top;
    state.rflags = x86::flag::fixed;
    x86::SystemState& system = state.system;
    // Descriptors: 0x08 code, 0x10 data; privilege 3: 0x18 data, 0x20 code; 0x28 task.
    const bool wide = mode == Mode::long64;
    write<std::uint64_t>(gdt_at + 0x08, wide ? 0x00AF'9B00'0000'FFFF : 0x00CF'9B00'0000'FFFF);
    write<std::uint64_t>(gdt_at + 0x10, 0x00CF'9300'0000'FFFF);
    write<std::uint64_t>(gdt_at + 0x18, 0x00CF'F300'0000'FFFF);
    write<std::uint64_t>(gdt_at + 0x20, wide ? 0x00AF'FB00'0000'FFFF : 0x00CF'FB00'0000'FFFF);
    system.gdtr = {gdt_at, 0x3F};
    system.idtr = {idt_at, static_cast<std::uint16_t>(mode == Mode::real16 ? 0x3FF : 0xFFF)};
    if (mode == Mode::real16) {
        for (x86::Segment& segment : system.segments) {
            segment = {.attributes = 0x93};
        }
        system.segments[x86::cs].attributes = 0x9B;
        system.idtr = {0, 0x3FF};
        cpu->set_state(state);
        return;
    }
    for (x86::Segment& segment : system.segments) {
        segment = flat(0x10, 0xC093);
    }
    system.segments[x86::cs] = flat(0x08, wide ? 0xA09B : 0xC09B);
    system.cr0 = x86::cr0::pe | x86::cr0::et | x86::cr0::ne | x86::cr0::mp;
    const bool modern = cpu->model().has(x86::Feature::sse);
    system.cr4 = modern ? x86::cr4::osfxsr | x86::cr4::osxmmexcpt : 0;
    if (cpu->model().has(x86::Feature::xsave)) {
        system.cr4 |= x86::cr4::osxsave;
        system.xcr0 = x86::supported_xcr0(cpu->model());
    }
    if (wide) {
        write<std::uint64_t>(page_tables_at, (page_tables_at + 0x1000) | 7);
        write<std::uint64_t>(page_tables_at + 0x1000, (page_tables_at + 0x2000) | 7);
        for (std::uint64_t i = 0; i < 512; ++i) {
            write<std::uint64_t>(page_tables_at + 0x2000 + i * 8, (i << 21) | 0x87);
        }
        system.cr3 = page_tables_at;
        system.cr4 |= x86::cr4::pae;
        system.cr0 |= x86::cr0::pg | x86::cr0::wp;
        system.efer = x86::efer::lme | x86::efer::lma | x86::efer::nxe | x86::efer::sce;
    }
    cpu->set_state(state);
}

void TestCpu::run(std::initializer_list<int> code, std::uint64_t at) {
    const std::vector<std::uint8_t> bytes(code.begin(), code.end());
    run(bytes, at);
}

void TestCpu::run(std::span<const std::uint8_t> code, std::uint64_t at) {
    write_bytes(at, code);
    write<std::uint8_t>(at + code.size(), hlt);
    cpu->rip() = at;
    cpu->activity = x86::Activity::active;
    EXPECT_EQ(resume(), Exit::halt);
}

void TestCpu::catch_exceptions() {
    for (unsigned vector = 0; vector < 32; ++vector) {
        write<std::uint8_t>(handler_at(vector), hlt);
        const std::uint64_t target = handler_at(vector);
        const std::uint64_t gate =
            (target & 0xFFFF) | 0x08 << 16 | std::uint64_t{0x8E00} << 32 | (target >> 16 & 0xFFFF) << 48;
        if (mode_ == Mode::long64) {
            write<std::uint64_t>(idt_at + vector * 16, gate);
            write<std::uint64_t>(idt_at + vector * 16 + 8, target >> 32);
        } else if (mode_ == Mode::protected32) {
            write<std::uint64_t>(idt_at + vector * 8, gate);
        } else {
            write<std::uint32_t>(vector * 4, static_cast<std::uint32_t>(target));
        }
    }
}

std::optional<unsigned> TestCpu::caught() const {
    const std::uint64_t halted_at = cpu->rip() - 1;
    if (halted_at < handler_at(0) || halted_at >= handler_at(32)) {
        return std::nullopt;
    }
    return static_cast<unsigned>((halted_at - handler_at(0)) / 16);
}

} // namespace strata::cpu::testing
