// The time-stamp counter: the machine's clock in TSC ticks, moved by what the guest wrote. SDM volume 3
// section 17.17.
#include "cpu/interpreter/cpu.hpp"
#include "cpu/interpreter/shared.hpp"

namespace strata::cpu::interpreter {

std::uint64_t Cpu::tsc() const {
    if (config_.time != nullptr) {
        config_.time->reached(retired_);
    }
    constexpr std::uint64_t second = 1'000'000'000;
    const auto now = static_cast<std::uint64_t>(shared_.clock().now());
    const std::uint64_t ticks = now / second * config_.tsc_hz + now % second * config_.tsc_hz / second;
    return ticks + static_cast<std::uint64_t>(system.tsc_offset);
}

} // namespace strata::cpu::interpreter
