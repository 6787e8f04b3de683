#include "guest.hpp"

#include "base/thread_time.hpp"
#include "cpu/assistance.hpp"
#include "cpu/empty_bus.hpp"
#include "cpu/x86/registers.hpp"
#include "fp_image.hpp"
#include "guest_tables.hpp"

#include <cstring>

namespace strata::oracle {

namespace x86 = cpu::x86;

namespace {

// A segment register of virtual-8086 code that reaches what the protected-mode one does.
x86::Segment low_segment(std::uint16_t selector) {
    const std::uint64_t base = guest_segment(selector).base - arena + low_arena;
    constexpr std::uint16_t attributes = 0xF3; // present, level 3, writable data, accessed
    return {.selector = static_cast<std::uint16_t>(base >> 4),
            .base = base & ~std::uint64_t{15},
            .limit = 0xFFFF,
            .attributes = attributes,
            .unusable = false};
}

std::array<x86::Segment, 6> segments_of(const TestCase& input, SystemMode mode) {
    const Selectors& s = input.registers.selectors;
    const auto load = mode == SystemMode::virtual_8086 ? low_segment : guest_segment;
    std::array segments{load(s.es), load(s.cs), load(s.ss), load(s.ds), load(s.fs), load(s.gs)};
    if (s.cs == flat_code64) {
        segments[x86::fs].base = input.fs_base;
        segments[x86::gs].base = input.gs_base;
    }
    return segments;
}

} // namespace

Guest::Guest(std::unique_ptr<memory::GuestMemory> memory, std::unique_ptr<cpu::Bus> bus)
    : memory_(std::move(memory)), bus_(std::move(bus)) {}

Result<std::unique_ptr<Guest>> Guest::create(std::string_view engine, const x86::Model& model,
                                             const std::array<std::uint8_t, page>& constant) {
    auto memory = memory::GuestMemory::create(guest_ram);
    if (!memory) {
        return std::unexpected(memory.error());
    }
    std::unique_ptr<Guest> guest(new Guest(std::move(*memory), std::make_unique<cpu::EmptyBus>()));
    auto created = cpu::create_engine(engine, *guest->memory_, guest->clock_);
    if (!created) {
        return std::unexpected(created.error());
    }
    guest->engine_ = std::move(*created);
    cpu::VcpuConfig config{};
    config.model = &model;
    auto vcpu = guest->engine_->create_vcpu(config, *guest->bus_);
    if (!vcpu) {
        return std::unexpected(vcpu.error());
    }
    guest->vcpu_ = std::move(*vcpu);

    std::byte* host = guest->memory_->host(0, guest_ram);
    write_guest_tables(host);
    std::memset(host + arena_physical + (code_begin - arena), code_filler, code_end - code_begin);
    std::memcpy(host + arena_physical + (constant_begin - arena), constant.data(), page);
    guest->memory_->written(0, guest_ram);
    return guest;
}

void Guest::store_page(unsigned arena_page, const void* from) {
    const std::uint64_t physical = arena_physical + arena_page * page;
    std::memcpy(memory_->host(physical, page), from, page);
    memory_->written(physical, page);
}

void Guest::load_memory(const TestCase& input) {
    for (std::size_t i = 0; i < variable_pages.size(); ++i) {
        store_page(variable_pages[i], input.memory[i].data());
    }
    std::array<std::uint8_t, page> filler;
    filler.fill(code_filler);
    store_page((code_begin - arena) / page, filler.data());
    const std::uint64_t physical = arena_physical + (input.code_address - arena);
    std::memcpy(memory_->host(physical, input.code_size), input.code.data(), input.code_size);
    memory_->written(physical, input.code_size);
}

void Guest::run(const TestCase& input, SystemMode mode, Outcome& output) {
    const bool virtual_8086 = mode == SystemMode::virtual_8086;
    load_memory(input);
    x86::State state{};
    state.gpr = input.registers.gpr;
    state.rip = input.registers.rip;
    state.rflags = input.registers.rflags | (virtual_8086 ? x86::flag::vm : 0);
    state.system = guest_system_state(mode);
    state.system.segments = segments_of(input, mode);
    if (input.registers.selectors.cs == flat_code64) { // natively such code has no local table
        state.system.ldtr = guest_segment(0);
    }
    state.fp = to_fp_state(input.fp);
    vcpu_->set_state(state);

    const cpu::Exit exit = run_watched();

    state = vcpu_->state();
    output.ending = Ending::lost;
    output.registers.gpr = state.gpr;
    output.registers.rip = state.rip;
    output.registers.rflags = state.rflags;
    output.fp = to_xsave_area(state.fp);
    output.cr2 = state.system.cr2 - (virtual_8086 ? low_arena - arena : 0);
    const auto frame = read_exception_frame(mode, state, memory_->host(0, guest_ram));
    if (exit == cpu::Exit::halt && frame) {
        output.ending = Ending::exception;
        output.vector = frame->vector;
        output.error_code = frame->error_code;
        output.registers.rip = frame->rip;
        output.registers.rflags = frame->rflags & ~x86::flag::vm;
        output.registers.gpr[x86::rsp] = frame->rsp;
        const auto& segments = state.system.segments;
        output.registers.selectors = {segments[x86::es].selector,
                                      frame->cs,
                                      frame->ss,
                                      segments[x86::ds].selector,
                                      segments[x86::fs].selector,
                                      segments[x86::gs].selector};
        if (virtual_8086) { // whose selectors are other ones
            output.registers.selectors = input.registers.selectors;
        }
    }
    for (std::size_t i = 0; i < variable_pages.size(); ++i) {
        std::memcpy(output.memory[i].data(), memory_->host(arena_physical + variable_pages[i] * page, page),
                    page);
    }
}

// The watchdog goes by the wall; what counts is the processor time that the run itself took, for the host may
// be busy.
cpu::Exit Guest::run_watched() {
    const auto begin = thread_time();
    watchdog_.arm();
    cpu::Exit exit{};
    do {
        exit = vcpu_->run();
    } while (exit == cpu::Exit::requested && thread_time() - begin < Watchdog::period);
    watchdog_.disarm();
    return exit;
}

std::uint64_t Guest::traces() const {
    for (const auto& [name, count] : cpu::exits(*vcpu_)) {
        if (name == "traces") {
            return count;
        }
    }
    return 0;
}

} // namespace strata::oracle
