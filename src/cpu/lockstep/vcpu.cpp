#include "cpu/lockstep/vcpu.hpp"

#include "cpu/lockstep/comparison.hpp"

#include <chrono>
#include <fmt/format.h>

namespace strata::cpu::lockstep {
namespace {

// More is translated, and so compared, than is worth it for speed.
constexpr translator::Policy policy{.runs_before_translation = 30, .unrolls_at_once = true, .checks = false};
constexpr std::uint64_t instructions_between_forgetting = 4'000'000;
constexpr auto longest_stretch = std::chrono::microseconds(1000); // about; so far it may be to a difference

std::unique_ptr<translator::Frame> new_frame(interpreter::Shared& shared, const VcpuConfig& config,
                                             Bus& bus) {
    // For overwrite: most of the frame's stack is never touched.
    return std::unique_ptr<translator::Frame>(new translator::Frame(shared, config, bus));
}

} // namespace

LockstepVcpu::LockstepVcpu(memory::GuestMemory& memory, memory::GuestMemory& copy,
                           translator::CodeMemory code, const Clock& clock, const VcpuConfig& config,
                           Bus& bus)
    : memory_(memory), device_writes_(memory), bus_(bus, device_writes_, clock, time_),
      shared_(memory, time_), frame_(new_frame(shared_, config, bus_)),
      translator_(*frame_, std::move(code), policy), memories_(memory, copy),
      follower_(copy, memories_, config),
      timer_([this](const std::stop_token& stop) { end_stretches(stop); }) {
    memory_.set_write_observer(&device_writes_);
}

LockstepVcpu::~LockstepVcpu() { memory_.set_write_observer(nullptr); }

void LockstepVcpu::set_state(const x86::State& state) {
    leader().set_state(state);
    alike_ = false;
}

void LockstepVcpu::reset() {
    leader().reset();
    alike_ = false;
}

Exit LockstepVcpu::run() {
    device_writes_.adopt_thread();
    if (failure_) {
        return Exit::shutdown;
    }
    for (;;) {
        const std::uint32_t pending = signals().pending();
        if (pending & Signals::leave) {
            signals().clear(Signals::leave);
            return Exit::requested;
        }
        const auto exit = run_stretch(pending);
        if (failure_) {
            return Exit::shutdown;
        }
        if (exit) {
            return *exit;
        }
    }
}

std::optional<Exit> LockstepVcpu::run_stretch(std::uint32_t pending) {
    if (!alike_) {
        static_cast<void>(device_writes_.take());
        start_alike();
        pending |= Signals::flush_tlb;
    }
    for (const DeviceWrite& write : device_writes_.take()) {
        memories_.apply(write);
    }
    if (follower_.cpu().retired() >= next_forgetting_) { // or there is more and more to compare
        next_forgetting_ = follower_.cpu().retired() + instructions_between_forgetting;
        memories_.forget();
        pending |= Signals::flush_tlb;
    }
    stretch_ = {.pending = pending, .time = bus_.look_at_time()};
    bus_.begin(stretch_);
    const x86::State before = follower_.cpu().state();
    at_work_.store(true, std::memory_order_relaxed);
    auto exit = leader().run_stretch(pending);
    while (!exit && !at_fetchable_code()) {
        exit = leader().run_stretch(0);
    }
    at_work_.store(false, std::memory_order_relaxed);
    const auto device_writes = device_writes_.take();
    for (const DeviceWrite& write : device_writes) {
        memories_.apply(write);
    }
    const std::string differs = follower_.follow(stretch_, leader().state());
    stretches_.fetch_add(1, std::memory_order_relaxed);
    retired_.store(follower_.cpu().retired(), std::memory_order_relaxed);
    if (!differs.empty()) {
        if (device_writes.empty()) {
            differ("  what      translator          interpreter\n" + differs, before);
        } else { // the leader may have seen them in the middle
            not_compared_.fetch_add(1, std::memory_order_relaxed);
            alike_ = false;
        }
    }
    return exit;
}

// Where no code can be fetched, the follower does not come to rest: the fault belongs to the stretch.
bool LockstepVcpu::at_fetchable_code() {
    const interpreter::Cpu& cpu = leader();
    const std::uint64_t linear = cpu.code64() ? cpu.rip() : cpu.system.segments[x86::cs].base + cpu.rip();
    return cpu.activity != x86::Activity::active || cpu.translate(linear).has_value();
}

// The follower begins where the leader is.
void LockstepVcpu::start_alike() {
    memories_.copy();
    follower_.cpu().set_state(leader().state());
    alike_ = true;
}

void LockstepVcpu::differ(const std::string& what, const x86::State& before) {
    failure_ =
        Error{fmt::format("translator and interpreter differ after {} instructions:\n{}"
                          "both were at:\n{}"
                          "the translator came to:\n{}"
                          "the interpreter came to:\n{}"
                          "what the interpreter ran last:\n{}",
                          follower_.cpu().retired(), what, describe(before), describe(leader().state()),
                          describe(follower_.cpu().state()), follower_.recent_code())};
}

// A stretch that takes long ends at the next occasion.
void LockstepVcpu::end_stretches(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        std::this_thread::sleep_for(longest_stretch);
        if (at_work_.load(std::memory_order_relaxed)) {
            signals().set(Signals::engine);
        }
    }
}

Counts LockstepVcpu::counts() const {
    return {{"instructions-compared", retired_.load()},
            {"comparisons", stretches_.load()},
            {"not-compared", not_compared_.load()}};
}

} // namespace strata::cpu::lockstep
