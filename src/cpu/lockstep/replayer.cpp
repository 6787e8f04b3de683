#include "cpu/lockstep/replayer.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace strata::cpu::lockstep {

using Kind = BusCall::Kind;

namespace {

std::string description(const BusCall& call) {
    return fmt::format("{} {:#x}, size {}, value {:#x}", BusCall::names[static_cast<std::size_t>(call.kind)],
                       call.place, call.size, call.value);
}

} // namespace

void Replayer::begin(const Stretch& stretch) {
    stretch_ = &stretch;
    next_ = 0;
    time_.advance(stretch.time - time_.now());
}

const BusCall& Replayer::answer(const BusCall& asked) {
    if (finished()) {
        throw OtherCall{"only the one that follows: " + description(asked)};
    }
    const BusCall& call = stretch_->calls[next_];
    if (!call.asks_the_same(asked)) {
        throw OtherCall{
            fmt::format("the one that leads: {}; the other: {}", description(call), description(asked))};
    }
    ++next_;
    for (const DeviceWrite& write : call.writes) {
        static_cast<void>(memory_.write(write.address, write.bytes.data(), write.bytes.size()));
    }
    time_.advance(call.time - time_.now());
    return call;
}

std::uint32_t Replayer::read_port(std::uint16_t port, unsigned size) {
    return static_cast<std::uint32_t>(answer({.kind = Kind::read_port, .size = size, .place = port}).result);
}

void Replayer::write_port(std::uint16_t port, unsigned size, std::uint32_t value) {
    answer({.kind = Kind::write_port, .size = size, .place = port, .value = value});
}

std::uint64_t Replayer::read_mmio(memory::GuestPhysical address, unsigned size) {
    return answer({.kind = Kind::read_mmio, .size = size, .place = address}).result;
}

void Replayer::write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) {
    answer({.kind = Kind::write_mmio, .size = size, .place = address, .value = value});
}

std::optional<std::uint8_t> Replayer::acknowledge_interrupt() {
    const BusCall& call = answer({.kind = Kind::acknowledge_interrupt});
    return call.answered ? std::optional(static_cast<std::uint8_t>(call.result)) : std::nullopt;
}

std::optional<std::uint64_t> Replayer::read_msr(std::uint32_t index) {
    const BusCall& call = answer({.kind = Kind::read_msr, .place = index});
    return call.answered ? std::optional(call.result) : std::nullopt;
}

bool Replayer::write_msr(std::uint32_t index, std::uint64_t value) {
    return answer({.kind = Kind::write_msr, .place = index, .value = value}).answered;
}

std::uint8_t Replayer::task_priority() {
    return static_cast<std::uint8_t>(answer({.kind = Kind::task_priority}).result);
}

void Replayer::set_task_priority(std::uint8_t priority) {
    answer({.kind = Kind::set_task_priority, .value = priority});
}

void Replayer::adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                            std::span<std::uint32_t, 4> registers) {
    const BusCall& call = answer({.kind = Kind::adjust_cpuid, .place = std::uint64_t{leaf} << 32 | subleaf});
    std::ranges::copy(call.registers, registers.begin());
}

void Replayer::floating_point_error() { answer({.kind = Kind::floating_point_error}); }

} // namespace strata::cpu::lockstep
