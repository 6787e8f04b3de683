#include "processor.hpp"

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "base/thread_time.hpp"
#include "cpu/x86/registers.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <span>
#include <sys/mman.h>

namespace strata::fuzz {
namespace {

namespace x86 = cpu::x86;

constexpr std::size_t longest_instruction = 15; // bytes

void require(bool condition, std::string_view what) {
    if (!condition) {
        broken(std::string(what));
    }
}

std::uint64_t mix(std::uint64_t value) {
    value *= 0x9E37'79B9'7F4A'7C15;
    return value ^ value >> 31;
}

} // namespace

void broken(const std::string& what) {
    std::fprintf(stderr, "broken: %s\n", what.c_str());
    std::abort();
}

const x86::Model& fuzzed_model() {
    static const x86::Model model = [] {
        x86::Model all = **x86::find_model("max");
        x86::FeatureSet features;
        for (unsigned i = 0; i < static_cast<unsigned>(x86::Feature::count); ++i) {
            const auto feature = static_cast<x86::Feature>(i);
            if (all.has(feature) && feature != x86::Feature::rdrand && feature != x86::Feature::rdseed) {
                features = features.with({feature});
            }
        }
        all.features = features;
        return all;
    }();
    return model;
}

// ---- the bus ----

std::uint64_t NoisyBus::note(std::uint64_t what, std::uint64_t where, std::uint64_t value) {
    record_ = mix(mix(mix(record_ + what) + where) + value);
    return mix(where + what);
}

std::uint32_t NoisyBus::read_port(std::uint16_t port, unsigned size) {
    require(size == 1 || size == 2 || size == 4, "the size of a port access");
    return static_cast<std::uint32_t>(note(1, port, size));
}

void NoisyBus::write_port(std::uint16_t port, unsigned size, std::uint32_t value) {
    require(size == 1 || size == 2 || size == 4, "the size of a port access");
    note(2 + size, port, value);
}

std::uint64_t NoisyBus::read_mmio(memory::GuestPhysical address, unsigned size) {
    require(std::has_single_bit(size) && size <= 8 && address % memory::page_size + size <= memory::page_size,
            "an access to a device crosses no page");
    return note(7, address, size);
}

void NoisyBus::write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) {
    require(std::has_single_bit(size) && size <= 8 && address % memory::page_size + size <= memory::page_size,
            "an access to a device crosses no page");
    note(8 + size, address, value);
}

std::optional<std::uint8_t> NoisyBus::acknowledge_interrupt() {
    signals->clear(cpu::Signals::interrupt);
    return static_cast<std::uint8_t>(32 + note(17, 0, 0) % 224);
}

std::optional<std::uint64_t> NoisyBus::read_msr(std::uint32_t index) {
    return index == 0x1B ? std::optional(note(18, index, 0)) : std::nullopt;
}

bool NoisyBus::write_msr(std::uint32_t index, std::uint64_t value) {
    note(19, index, value);
    return index == 0x1B;
}

std::uint8_t NoisyBus::task_priority() { return priority_; }

void NoisyBus::set_task_priority(std::uint8_t priority) {
    require(priority < 16, "a task priority");
    priority_ = priority;
    note(20, priority, 0);
}

void NoisyBus::adjust_cpuid(std::uint32_t, std::uint32_t, std::span<std::uint32_t, 4>) {}

void NoisyBus::floating_point_error() { note(21, 0, 0); }

// ---- the processor ----

Processor::Processor(std::string_view engine)
    : memory_(memory::GuestMemory::create(all_ram, low_ram).value()) {
    guard_memory();
    auto created = cpu::create_engine(engine, *memory_, clock_);
    if (!created) {
        broken(created.error().message);
    }
    engine_ = std::move(*created);
    cpu::VcpuConfig config{};
    config.model = &fuzzed_model();
    vcpu_ = engine_->create_vcpu(config, bus_).value();
    bus_.signals = &vcpu_->signals();
    watchdog_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

Processor::~Processor() = default;

// Nothing can be reached beside guest memory, as far as the place is free.
void Processor::guard_memory() {
    constexpr std::size_t guard = std::size_t{16} << 20;
    std::byte* begin = memory_->host(0, low_ram);
    for (std::byte* at : {begin - guard, begin + all_ram}) {
        for (std::size_t done = 0; done < guard; done += memory::page_size) {
            ::mmap(at + done, memory::page_size, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        }
    }
}

// Only what was written since the last time; which also shows that the log of writes is whole.
void Processor::restore_memory(const ProcessorStart& start) {
    const auto& world = processor_world(start.mode);
    std::byte* host = memory_->host(0, low_ram);
    for (const memory::GuestPhysical page : memory_->take_dirty()) {
        const std::uint64_t offset = memory_->page_index(page) << memory::page_shift;
        if (world_ != nullptr) {
            std::memcpy(host + offset, world_->data() + offset, memory::page_size);
            memory_->written(page, memory::page_size);
        }
    }
    if (world_ != nullptr) {
        require(std::memcmp(host, world_->data(), all_ram) == 0, "a write to memory is in no log");
    }
    if (world_ != &world) {
        std::memcpy(host, world.data(), all_ram);
        memory_->written(0, low_ram);
        memory_->written(std::uint64_t{1} << 32, high_ram);
        world_ = &world;
    }
    static_cast<void>(memory_->take_dirty());
    for (const Patch& patch : start.patches) {
        require(memory_->write(patch.address, patch.bytes.data(), patch.bytes.size()), "a patch in RAM");
    }
}

void Processor::start(const ProcessorStart& start) {
    vcpu_->signals().clear(~cpu::Signals::engine);
    restore_memory(start);
    tables_.assign(memory() + page_tables, memory() + page_tables_end);
    vcpu_->set_state(start.state);
    repetition_rewritten_ = false;
    fetched_from_device_ = false;
    bus_.reset();
    bus_.set_task_priority(0);
}

// The watchdog goes by the wall; what counts is the processor time that the run itself took.
cpu::Exit Processor::run_watched(std::chrono::milliseconds most) {
    const auto begin = thread_time();
    cpu::Exit exit{};
    do {
        runs_.fetch_add(1);
        exit = vcpu_->run();
        runs_.fetch_add(1);
    } while (exit == cpu::Exit::requested && thread_time() - begin < most);
    return exit;
}

Ending Processor::run(std::chrono::milliseconds most) {
    if (stepping_) {
        vcpu_->set_debug({});
        stepping_ = false;
    }
    return ending(run_watched(most));
}

cpu::Exit Processor::step() {
    if (!stepping_) {
        vcpu_->set_debug({.single_step = true});
        stepping_ = true;
    }
    const std::uint64_t rip = vcpu_->state().rip;
    const auto code = next_code();
    fetched_from_device_ |= code.size() < longest_instruction;
    const cpu::Exit exit = run_watched(usual_time);
    repetition_rewritten_ |= vcpu_->state().rip == rip && next_code() != code;
    return exit;
}

bool Processor::tables_changed() const {
    const x86::State state = vcpu_->state();
    if ((state.system.cr0 & x86::cr0::pg) == 0) {
        return false;
    }
    if (state.system.cr3 < page_tables || state.system.cr3 >= page_tables_end) {
        return true;
    }
    const auto now = std::span(memory() + page_tables, tables_.size());
    for (std::size_t i = 0; i < tables_.size(); i += sizeof(std::uint32_t)) {
        constexpr std::uint32_t free = x86::pte::accessed | x86::pte::dirty;
        if (((load_le<std::uint32_t>(&now[i]) ^ load_le<std::uint32_t>(&tables_[i])) & ~free) != 0) {
            return true;
        }
    }
    return false;
}

std::vector<std::uint8_t> Processor::next_code() const {
    const x86::State state = vcpu_->state();
    const x86::Segment& code = state.system.segments[x86::cs];
    const bool code64 = (state.system.efer & x86::efer::lma) != 0 && code.long_mode();
    const std::uint64_t linear = (code64 ? 0 : code.base) + state.rip;
    std::vector<std::uint8_t> bytes;
    std::optional<memory::GuestPhysical> physical;
    for (std::uint8_t byte = 0; bytes.size() < longest_instruction; bytes.push_back(byte)) {
        const std::uint64_t at = linear + bytes.size();
        if (bytes.empty() || at % memory::page_size == 0) {
            physical = vcpu_->translate(code64 ? at : static_cast<std::uint32_t>(at));
        } else {
            ++*physical;
        }
        if (!physical || !memory_->read(*physical, &byte, 1)) {
            break;
        }
    }
    return bytes;
}

// Ends a run that takes two periods.
void Processor::watch(const std::stop_token& stop) {
    constexpr auto period = std::chrono::milliseconds(20);
    std::uint64_t last = 0;
    while (!stop.stop_requested()) {
        std::this_thread::sleep_for(period);
        const std::uint64_t now = runs_.load();
        if (now % 2 == 1 && now == last) {
            vcpu_->signals().set(cpu::Signals::leave);
        }
        last = now;
    }
}

Ending Processor::ending(cpu::Exit exit) const { return {exit, vcpu_->state(), bus_.record()}; }

void Processor::check_state() const {
    const x86::State state = vcpu_->state();
    const x86::SystemState& system = state.system;
    const bool protection = system.cr0 & x86::cr0::pe, paging = system.cr0 & x86::cr0::pg;
    const bool long_mode = system.efer & x86::efer::lma;
    const bool v86 = state.rflags & x86::flag::vm;
    const x86::Segment& code = system.segments[x86::cs];
    require(protection || !paging, "paging without protection");
    require(long_mode == (paging && (system.efer & x86::efer::lme)), "EFER.LMA is LME with paging");
    require(!long_mode || (system.cr4 & x86::cr4::pae), "long mode without PAE");
    require(!v86 || (protection && !long_mode), "virtual-8086 mode outside protected mode");
    require((state.rflags & x86::flag::fixed) != 0, "RFLAGS bit 1");
    require((state.rflags & ~(x86::supported_rflags(fuzzed_model()) | x86::flag::fixed)) == 0,
            "reserved bits of RFLAGS");
    const bool code64 = long_mode && code.long_mode();
    require(code64 || state.rip <= 0xFFFF'FFFF, "RIP of narrow code");
    // A task switch that fails may leave a processor without a code segment, which then shuts down.
    require(!protection || v86 || code.is_code_or_data() || state.activity == x86::Activity::shutdown,
            "CS is a code segment");
    require((state.fp.mxcsr & 0xFFFF'0000) == 0, "reserved bits of MXCSR");
    require((system.xcr0 & 1) != 0 && (system.xcr0 & ~x86::supported_xcr0(fuzzed_model())) == 0, "XCR0");
    require(system.cr0 >> 32 == 0, "reserved bits of CR0");
    if (protection && !v86) {
        const unsigned level = system.segments[x86::ss].dpl();
        require(level == 0 || !system.segments[x86::ss].unusable || long_mode, "a null SS");
    }
}

// ---- comparing ----

std::string difference(const Ending& a, const Ending& b, const Tolerance& tolerance) {
    if (a.exit != b.exit) {
        return fmt::format("the exit: {} and {}", static_cast<int>(a.exit), static_cast<int>(b.exit));
    }
    for (std::size_t i = 0; i < a.state.gpr.size(); ++i) {
        if (a.state.gpr[i] != b.state.gpr[i]) {
            return fmt::format("register {}: {:#x} and {:#x}", i, a.state.gpr[i], b.state.gpr[i]);
        }
    }
    if (a.state.rip != b.state.rip) {
        return fmt::format("RIP: {:#x} and {:#x}", a.state.rip, b.state.rip);
    }
    if ((a.state.rflags ^ b.state.rflags) & ~tolerance.flags) {
        return fmt::format("RFLAGS: {:#x} and {:#x}", a.state.rflags, b.state.rflags);
    }
    x86::State left = a.state, right = b.state;
    if (tolerance.x87_pointers) {
        right.fp.fop = left.fp.fop;
        right.fp.fip = left.fp.fip;
        right.fp.fdp = left.fp.fdp;
        right.fp.fcs = left.fp.fcs;
        right.fp.fds = left.fp.fds;
    }
    if (left.fp.fsw != right.fp.fsw || left.fp.fcw != right.fp.fcw) {
        return fmt::format("FSW, FCW: {:#x}, {:#x} and {:#x}, {:#x}", left.fp.fsw, left.fp.fcw, right.fp.fsw,
                           right.fp.fcw);
    }
    if (left.fp.mxcsr != right.fp.mxcsr) {
        return fmt::format("MXCSR: {:#x} and {:#x}", left.fp.mxcsr, right.fp.mxcsr);
    }
    for (std::size_t i = 0; i < left.fp.ymm.size(); ++i) {
        if (left.fp.ymm[i] != right.fp.ymm[i]) {
            return fmt::format("YMM{}: {:#x}... and {:#x}...", i, left.fp.ymm[i].lanes[0],
                               right.fp.ymm[i].lanes[0]);
        }
    }
    if (left.fp != right.fp) {
        return "the x87 state";
    }
    if (left.system != right.system) {
        return "the system state";
    }
    right.rflags = left.rflags;
    if (left != right) {
        return "the shadows";
    }
    return a.bus_record == b.bus_record || tolerance.bus_record ? "" : "what was asked of the bus";
}

std::string memory_difference(const std::byte* a, const std::byte* b) {
    if (std::memcmp(a, b, all_ram) == 0) {
        return "";
    }
    const auto at = std::mismatch(a, a + all_ram, b).first - a;
    return fmt::format("memory at {:#x}: {:#x} and {:#x}", at, std::to_integer<unsigned>(a[at]),
                       std::to_integer<unsigned>(b[at]));
}

} // namespace strata::fuzz
