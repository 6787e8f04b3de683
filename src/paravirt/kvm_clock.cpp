#include "paravirt/kvm_clock.hpp"

#include "base/scale.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstring>

namespace strata::paravirt {
namespace {

constexpr std::uint32_t signature_leaf = 0x4000'0000, features_leaf = 0x4000'0001;
constexpr std::array<std::uint32_t, 3> signature{0x4B4D'564B, 0x564B'4D56, 0x4D}; // "KVMKVMKVM"

constexpr std::uint32_t feature_clocksource = 1 << 0, feature_nop_io_delay = 1 << 1,
                        feature_clocksource2 = 1 << 3, feature_clocksource_stable = 1 << 24;

constexpr std::uint32_t old_wall_clock_msr = 0x11, old_system_time_msr = 0x12, wall_clock_msr = 0x4B56'4D00,
                        system_time_msr = 0x4B56'4D01;

constexpr std::uint64_t enabled = 1; // of the system time MSR; the rest is the structure's address
constexpr std::uint8_t flag_tsc_stable = 1 << 0, flag_guest_stopped = 1 << 1;
constexpr std::uint64_t second = 1'000'000'000;

// The structure that a vCPU's guest reads: nanoseconds = system_time + ((tsc - tsc_timestamp) << tsc_shift) *
// tsc_to_system_mul >> 32 (a negative shift goes right).
struct TimeInfo {
    std::uint32_t version = 0;
    std::uint32_t padding = 0;
    std::uint64_t tsc_timestamp = 0;
    std::uint64_t system_time = 0;
    std::uint32_t tsc_to_system_mul = 0;
    std::int8_t tsc_shift = 0;
    std::uint8_t flags = 0;
    std::array<std::uint8_t, 2> padding_end{};
};

static_assert(sizeof(TimeInfo) == 32);

struct WallClock {
    std::uint32_t version = 0;
    std::uint32_t seconds = 0;
    std::uint32_t nanoseconds = 0;
};

static_assert(sizeof(WallClock) == 12);
static_assert(std::endian::native == std::endian::little, "guest structures are copied as they are");

struct Scale {
    std::uint32_t multiplier;
    std::int8_t shift;
};

// Nanoseconds per tick as a fraction of 2^32 with its top bit set, after a shift of the ticks.
Scale scale_of(std::uint64_t hz) {
    Scale scale{0, 0};
    while (hz > 2 * second) {
        hz = (hz + 1) / 2;
        --scale.shift;
    }
    while (hz <= second) {
        hz *= 2;
        ++scale.shift;
    }
    scale.multiplier = static_cast<std::uint32_t>(mul_div(second, std::uint64_t{1} << 32, hz));
    return scale;
}

// Writes a structure that begins with a version while the guest may read it: the version is odd until the
// rest is whole. The address is the guest's: false if it is not RAM or not aligned for the version.
template <class T>
bool publish(memory::GuestMemory& memory, std::uint64_t address, T value) {
    std::byte* to = memory.host(address, sizeof(T));
    if (to == nullptr || address % alignof(std::uint32_t) != 0) {
        return false;
    }
    std::atomic_ref<std::uint32_t> version(*reinterpret_cast<std::uint32_t*>(to));
    const std::uint32_t odd = version.load(std::memory_order_relaxed) | 1;
    version.store(odd, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    constexpr std::size_t head = sizeof(std::uint32_t);
    std::memcpy(to + head, reinterpret_cast<const std::byte*>(&value) + head, sizeof(T) - head);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    version.store(odd + 1, std::memory_order_release);
    memory.written(address, sizeof(T));
    return true;
}

} // namespace

KvmClock::KvmClock(memory::GuestMemory& memory, Config config)
    : memory_(memory), config_(std::move(config)) {}

void KvmClock::adjust_cpuid(std::uint32_t leaf, std::span<std::uint32_t, 4> registers) {
    if (leaf == signature_leaf) {
        registers[0] = features_leaf; // the highest leaf
        std::copy(signature.begin(), signature.end(), registers.begin() + 1);
    } else if (leaf == features_leaf) {
        registers[0] =
            feature_clocksource | feature_nop_io_delay | feature_clocksource2 | feature_clocksource_stable;
        registers[1] = registers[2] = registers[3] = 0;
    }
}

std::optional<std::uint64_t> KvmClock::read_msr(std::uint32_t index) const {
    switch (index) {
    case wall_clock_msr:
    case old_wall_clock_msr: return wall_clock_;
    case system_time_msr:
    case old_system_time_msr: return system_time_;
    default: return std::nullopt;
    }
}

bool KvmClock::write_msr(std::uint32_t index, std::uint64_t value) {
    switch (index) {
    case wall_clock_msr:
    case old_wall_clock_msr:
        wall_clock_ = value;
        write_wall_clock();
        return true;
    case system_time_msr:
    case old_system_time_msr:
        system_time_ = value;
        refresh();
        return true;
    default: return false;
    }
}

// The wall clock at which the system time was 0; written once, on each request.
void KvmClock::write_wall_clock() {
    if (wall_clock_ == 0) {
        return;
    }
    const auto time = static_cast<std::uint64_t>(config_.boot_time);
    publish(memory_, wall_clock_,
            WallClock{.seconds = static_cast<std::uint32_t>(time / second),
                      .nanoseconds = static_cast<std::uint32_t>(time % second)});
}

void KvmClock::refresh(bool stopped) {
    if ((system_time_ & enabled) == 0) {
        return;
    }
    // Every vCPU counts from the clock's beginning, so that all compute the same time from the same counter.
    const std::int64_t offset = config_.tsc_offset ? config_.tsc_offset() : 0;
    const Scale scale = scale_of(config_.tsc_hz);
    publish(
        memory_, system_time_ & ~enabled,
        TimeInfo{.tsc_timestamp = static_cast<std::uint64_t>(offset),
                 .tsc_to_system_mul = scale.multiplier,
                 .tsc_shift = scale.shift,
                 .flags = static_cast<std::uint8_t>(flag_tsc_stable | (stopped ? flag_guest_stopped : 0))});
}

void KvmClock::reset() { system_time_ = wall_clock_ = 0; }

void KvmClock::visit(StateVisitor& visitor) {
    visitor.field("system_time", system_time_);
    visitor.field("wall_clock", wall_clock_);
}

} // namespace strata::paravirt
