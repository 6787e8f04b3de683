#include "guest.hpp"

#include "base/bytes.hpp"
#include "fp_image.hpp"
#include "guest_tables.hpp"

#include <cstring>

namespace strata::oracle {

namespace x86 = cpu::x86;

namespace {

// Nothing answers: user-level code reaches no port.
class EmptyBus final : public cpu::Bus {
public:
    std::uint32_t read_port(std::uint16_t, unsigned) override { return ~0U; }

    void write_port(std::uint16_t, unsigned, std::uint32_t) override {}

    std::uint64_t read_mmio(memory::GuestPhysical, unsigned) override { return ~std::uint64_t{0}; }

    void write_mmio(memory::GuestPhysical, unsigned, std::uint64_t) override {}

    std::optional<std::uint8_t> acknowledge_interrupt() override { return std::nullopt; }

    std::optional<std::uint64_t> read_msr(std::uint32_t) override { return std::nullopt; }

    bool write_msr(std::uint32_t, std::uint64_t) override { return false; }

    std::uint8_t task_priority() override { return 0; }

    void set_task_priority(std::uint8_t) override {}

    void adjust_cpuid(std::uint32_t, std::uint32_t, std::span<std::uint32_t, 4>) override {}

    void floating_point_error() override {}
};

bool pushes_error_code(int vector) { return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17; }

} // namespace

Guest::Guest(std::unique_ptr<memory::GuestMemory> memory, std::unique_ptr<cpu::Bus> bus)
    : memory_(std::move(memory)), bus_(std::move(bus)), system_(guest_system_state()) {}

Result<std::unique_ptr<Guest>> Guest::create(std::string_view engine, const x86::Model& model,
                                             const std::array<std::uint8_t, page>& constant) {
    auto memory = memory::GuestMemory::create(guest_ram);
    if (!memory) {
        return std::unexpected(memory.error());
    }
    std::unique_ptr<Guest> guest(new Guest(std::move(*memory), std::make_unique<EmptyBus>()));
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

void Guest::read_frame(const x86::State& state, Outcome& output) const {
    const std::byte* frame = memory_->host(state.gpr[x86::rsp] - supervisor_base, 6 * 8);
    if (frame == nullptr) {
        return;
    }
    const auto pop = [&frame] {
        const auto value = load_le<std::uint64_t>(frame);
        frame += 8;
        return value;
    };
    output.error_code = pushes_error_code(output.vector) ? static_cast<std::uint32_t>(pop()) : 0;
    output.registers.rip = pop();
    output.registers.selectors.cs = static_cast<std::uint16_t>(pop());
    output.registers.rflags = pop();
    output.registers.gpr[x86::rsp] = pop();
    output.registers.selectors.ss = static_cast<std::uint16_t>(pop());
    output.ending = Ending::exception;
}

void Guest::run(const TestCase& input, Outcome& output) {
    load_memory(input);
    x86::State state{};
    state.gpr = input.registers.gpr;
    state.rip = input.registers.rip;
    state.rflags = input.registers.rflags;
    state.system = system_;
    const Selectors& s = input.registers.selectors;
    state.system.segments = {guest_segment(s.es), guest_segment(s.cs), guest_segment(s.ss),
                             guest_segment(s.ds), guest_segment(s.fs), guest_segment(s.gs)};
    if (s.cs == flat_code64) {
        state.system.segments[x86::fs].base = fs_base;
        state.system.segments[x86::gs].base = gs_base;
    }
    state.fp = to_fp_state(input.fp);
    vcpu_->set_state(state);

    watchdog_.arm();
    const cpu::Exit exit = vcpu_->run();
    watchdog_.disarm();

    state = vcpu_->state();
    output.ending = Ending::lost;
    output.registers.gpr = state.gpr;
    output.registers.rip = state.rip;
    output.registers.rflags = state.rflags;
    const auto& segments = state.system.segments;
    output.registers.selectors = {segments[0].selector, segments[1].selector, segments[2].selector,
                                  segments[3].selector, segments[4].selector, segments[5].selector};
    output.fp = to_xsave_area(state.fp);
    output.cr2 = state.system.cr2;
    const int vector = halted_vector(state.rip);
    if (exit == cpu::Exit::halt && vector >= 0) {
        output.vector = static_cast<std::uint8_t>(vector);
        read_frame(state, output);
    }
    for (std::size_t i = 0; i < variable_pages.size(); ++i) {
        std::memcpy(output.memory[i].data(), memory_->host(arena_physical + variable_pages[i] * page, page),
                    page);
    }
}

} // namespace strata::oracle
