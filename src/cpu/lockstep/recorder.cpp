#include "cpu/lockstep/recorder.hpp"

#include <algorithm>
#include <utility>

namespace strata::cpu::lockstep {

using Kind = BusCall::Kind;

Nanoseconds Recorder::look_at_time() {
    time_.advance(std::max<Nanoseconds>(0, machine_time_.now() - time_.now()));
    return time_.now();
}

template <class Ask>
void Recorder::record(BusCall call, Ask ask) {
    writes_.begin_call(call.writes);
    ask(call);
    writes_.end_call();
    call.time = look_at_time();
    stretch_->calls.push_back(std::move(call));
}

std::uint32_t Recorder::read_port(std::uint16_t port, unsigned size) {
    std::uint32_t value = 0;
    record({.kind = Kind::read_port, .size = size, .place = port},
           [&](BusCall& call) { call.result = value = bus_.read_port(port, size); });
    return value;
}

void Recorder::write_port(std::uint16_t port, unsigned size, std::uint32_t value) {
    record({.kind = Kind::write_port, .size = size, .place = port, .value = value},
           [&](BusCall&) { bus_.write_port(port, size, value); });
}

std::uint64_t Recorder::read_mmio(memory::GuestPhysical address, unsigned size) {
    std::uint64_t value = 0;
    record({.kind = Kind::read_mmio, .size = size, .place = address},
           [&](BusCall& call) { call.result = value = bus_.read_mmio(address, size); });
    return value;
}

void Recorder::write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) {
    record({.kind = Kind::write_mmio, .size = size, .place = address, .value = value},
           [&](BusCall&) { bus_.write_mmio(address, size, value); });
}

std::optional<std::uint8_t> Recorder::acknowledge_interrupt() {
    std::optional<std::uint8_t> vector;
    record({.kind = Kind::acknowledge_interrupt}, [&](BusCall& call) {
        vector = bus_.acknowledge_interrupt();
        call.answered = vector.has_value();
        call.result = vector.value_or(0);
    });
    return vector;
}

std::optional<std::uint64_t> Recorder::read_msr(std::uint32_t index) {
    std::optional<std::uint64_t> value;
    record({.kind = Kind::read_msr, .place = index}, [&](BusCall& call) {
        value = bus_.read_msr(index);
        call.answered = value.has_value();
        call.result = value.value_or(0);
    });
    return value;
}

bool Recorder::write_msr(std::uint32_t index, std::uint64_t value) {
    bool taken = false;
    record({.kind = Kind::write_msr, .place = index, .value = value},
           [&](BusCall& call) { call.answered = taken = bus_.write_msr(index, value); });
    return taken;
}

std::uint8_t Recorder::task_priority() {
    std::uint8_t priority = 0;
    record({.kind = Kind::task_priority},
           [&](BusCall& call) { call.result = priority = bus_.task_priority(); });
    return priority;
}

void Recorder::set_task_priority(std::uint8_t priority) {
    record({.kind = Kind::set_task_priority, .value = priority},
           [&](BusCall&) { bus_.set_task_priority(priority); });
}

void Recorder::adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                            std::span<std::uint32_t, 4> registers) {
    record({.kind = Kind::adjust_cpuid, .place = std::uint64_t{leaf} << 32 | subleaf}, [&](BusCall& call) {
        bus_.adjust_cpuid(leaf, subleaf, registers);
        std::ranges::copy(registers, call.registers.begin());
    });
}

void Recorder::floating_point_error() {
    record({.kind = Kind::floating_point_error}, [&](BusCall&) { bus_.floating_point_error(); });
}

} // namespace strata::cpu::lockstep
