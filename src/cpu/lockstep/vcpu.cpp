#include "cpu/lockstep/vcpu.hpp"

#include "cpu/lockstep/comparison.hpp"
#include "cpu/lockstep/touched_pages.hpp"

#include <chrono>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace strata::cpu::lockstep {
namespace {

constexpr std::uint64_t instructions_between_forgetting = 4'000'000;
constexpr auto longest_stretch = std::chrono::microseconds(1000); // about; so far it may be to a difference

} // namespace

Result<Copies> Copies::of(const memory::GuestMemory& memory) {
    auto follower = new_copy(memory), before = new_copy(memory);
    if (!follower || !before) {
        return std::unexpected(!follower ? follower.error() : before.error());
    }
    return Copies{std::move(*follower), std::move(*before)};
}

Result<std::unique_ptr<LockstepVcpu>> LockstepVcpu::create(memory::GuestMemory& memory, const Copies& copies,
                                                           const Clock& clock, const VcpuConfig& config,
                                                           Bus& bus, const MakeLeader& make_leader,
                                                           const Pace& pace) {
    auto vcpu = std::unique_ptr<LockstepVcpu>(new LockstepVcpu(memory, copies, clock, config, bus, pace));
    auto leader = make_leader(vcpu->shared_, config, vcpu->bus_, pace);
    if (!leader) {
        return std::unexpected(leader.error());
    }
    vcpu->leader_ = std::move(*leader);
    vcpu->timer_ = std::jthread([self = vcpu.get()](const std::stop_token& s) { self->end_stretches(s); });
    return vcpu;
}

LockstepVcpu::LockstepVcpu(memory::GuestMemory& memory, const Copies& copies, const Clock& clock,
                           const VcpuConfig& config, Bus& bus, const Pace& pace)
    : memory_(memory), device_writes_(memory), bus_(bus, device_writes_, clock, time_), pace_(pace),
      config_(config), shared_(memory, time_), memories_(memory, *copies.follower, *copies.before),
      follower_(*copies.follower, memories_, config) {
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
    for (;;) {
        if (const auto exit = run_stretch()) {
            return *exit;
        }
    }
}

std::optional<Exit> LockstepVcpu::run_stretch() {
    device_writes_.adopt_thread();
    if (failure_) {
        return Exit::shutdown;
    }
    std::uint32_t pending = signals().pending();
    if (pending & Signals::leave) {
        signals().clear(Signals::leave);
        return Exit::requested;
    }
    prepare(pending);
    const x86::State before = follower_.cpu().state();
    const auto exit = lead(pending);
    const auto device_writes = device_writes_.take();
    for (const DeviceWrite& write : device_writes) {
        memories_.apply(write);
    }
    const std::string differs = follower_.follow(stretch_, leader().state());
    stretches_.fetch_add(1, std::memory_order_relaxed);
    retired_.store(follower_.cpu().retired(), std::memory_order_relaxed);
    if (!differs.empty() && device_writes.empty()) {
        differ("  what      translator          interpreter\n" + differs, before);
        return Exit::shutdown;
    }
    if (!differs.empty()) { // the leader may have seen the writes in the middle
        not_compared_.fetch_add(1, std::memory_order_relaxed);
        alike_ = false;
    }
    return exit;
}

// Both are alike then.
void LockstepVcpu::prepare(std::uint32_t& pending) {
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
    memories_.keep();
}

std::optional<Exit> LockstepVcpu::lead(std::uint32_t pending) {
    stretch_ = {.pending = pending, .time = bus_.look_at_time()};
    bus_.begin(stretch_);
    const std::uint64_t rip = leader().rip();
    const bool briefly = pace_.briefly && !repeating_;
    at_work_.store(true, std::memory_order_relaxed);
    auto exit = leader().run_stretch(pending, briefly);
    while (!exit && !at_fetchable_code()) {
        exit = leader().run_stretch(0, briefly);
    }
    at_work_.store(false, std::memory_order_relaxed);
    repeating_ = briefly && leader().rip() == rip;
    return exit;
}

// Where no code can be fetched, the follower does not come to rest: the fault belongs to the stretch.
bool LockstepVcpu::at_fetchable_code() {
    return leader().activity != x86::Activity::active || leader().prefetch();
}

// The follower begins where the leader is.
void LockstepVcpu::start_alike() {
    memories_.copy();
    follower_.cpu().set_state(leader().state());
    alike_ = true;
}

void LockstepVcpu::differ(const std::string& what, const x86::State& before) {
    report_ = fmt::format("translator and interpreter differ after {} instructions:\n{}"
                          "both were at:\n{}"
                          "the translator came to:\n{}"
                          "the interpreter came to:\n{}",
                          follower_.cpu().retired(), what, describe(before), describe(leader().state()),
                          describe(follower_.cpu().state()));
    failure_ = Error{report_ + "what the interpreter ran last:\n" + follower_.recent_code()};
    failed_on_ = make_case(before);
}

// What is needed of memory is what another interpreter, which knows nothing yet, accesses on the same way.
Case LockstepVcpu::make_case(const x86::State& before) {
    memories_.restore();
    Follower another(follower_.memory(), memories_, config_);
    another.cpu().set_state(before);
    std::vector<memory::GuestPhysical> touched;
    {
        const TouchedPages watch(follower_.memory());
        static_cast<void>(another.follow(stretch_, leader().state(), follower_.blocks_enough()));
        touched = watch.pages();
    }
    const auto slots = memory_.slots();
    return {.model = *config_.model,
            .tsc_hz = config_.tsc_hz,
            .memory_size = memory_.size(),
            .low_memory = slots.front().size,
            .instructions = another.cpu().retired(),
            .state = before,
            .stretch = stretch_,
            .pages = memories_.before(touched)};
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
