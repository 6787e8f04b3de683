// Outside of a case: what it lists is answered as it was then, in this order; for the rest there is nothing.
#pragma once

#include "cpu/empty_bus.hpp"
#include "cpu/lockstep/case.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace strata::cpu::lockstep {

class CaseBus final : public EmptyBus {
public:
    // `time` is what the processor sees, `memory` what devices write to.
    CaseBus(const Case& given, memory::GuestMemory& memory, Clock& time)
        : calls_(given.stretch.calls), memory_(memory), time_(time) {}

    // The signals that the case's interrupt ends.
    void connect(Signals& signals) { signals_ = &signals; }

    // Whether anything was asked.
    [[nodiscard]] bool used() const { return asked_; }

    std::uint32_t read_port(std::uint16_t port, unsigned size) override {
        const BusCall* call = answer({.kind = Kind::read_port, .size = size, .place = port});
        return call != nullptr ? static_cast<std::uint32_t>(call->result) : EmptyBus::read_port(port, size);
    }

    void write_port(std::uint16_t port, unsigned size, std::uint32_t value) override {
        answer({.kind = Kind::write_port, .size = size, .place = port, .value = value});
    }

    std::uint64_t read_mmio(memory::GuestPhysical address, unsigned size) override {
        const BusCall* call = answer({.kind = Kind::read_mmio, .size = size, .place = address});
        return call != nullptr ? call->result : EmptyBus::read_mmio(address, size);
    }

    void write_mmio(memory::GuestPhysical address, unsigned size, std::uint64_t value) override {
        answer({.kind = Kind::write_mmio, .size = size, .place = address, .value = value});
    }

    std::optional<std::uint8_t> acknowledge_interrupt() override {
        const BusCall* call = answer({.kind = Kind::acknowledge_interrupt});
        if (signals_ != nullptr) {
            signals_->clear(Signals::interrupt);
        }
        return call != nullptr && call->answered ? std::optional(static_cast<std::uint8_t>(call->result))
                                                 : std::nullopt;
    }

    std::optional<std::uint64_t> read_msr(std::uint32_t index) override {
        const BusCall* call = answer({.kind = Kind::read_msr, .place = index});
        return call != nullptr && call->answered ? std::optional(call->result) : std::nullopt;
    }

    bool write_msr(std::uint32_t index, std::uint64_t value) override {
        const BusCall* call = answer({.kind = Kind::write_msr, .place = index, .value = value});
        return call != nullptr && call->answered;
    }

    std::uint8_t task_priority() override {
        const BusCall* call = answer({.kind = Kind::task_priority});
        return call != nullptr ? static_cast<std::uint8_t>(call->result) : 0;
    }

    void set_task_priority(std::uint8_t priority) override {
        answer({.kind = Kind::set_task_priority, .value = priority});
    }

    void adjust_cpuid(std::uint32_t leaf, std::uint32_t subleaf,
                      std::span<std::uint32_t, 4> registers) override {
        const BusCall* call =
            answer({.kind = Kind::adjust_cpuid, .place = std::uint64_t{leaf} << 32 | subleaf});
        if (call != nullptr) {
            std::ranges::copy(call->registers, registers.begin());
        }
    }

    void floating_point_error() override { answer({.kind = Kind::floating_point_error}); }

private:
    using Kind = BusCall::Kind;

    const BusCall* answer(const BusCall& asked) {
        asked_ = true;
        if (next_ == calls_.size() || !calls_[next_].asks_the_same(asked)) {
            return nullptr;
        }
        const BusCall& call = calls_[next_++];
        for (const DeviceWrite& write : call.writes) {
            static_cast<void>(memory_.write(write.address, write.bytes.data(), write.bytes.size()));
        }
        time_.advance(std::max<Nanoseconds>(0, call.time - time_.now()));
        return &call;
    }

    const std::vector<BusCall>& calls_;
    memory::GuestMemory& memory_;
    Clock& time_;
    Signals* signals_ = nullptr;
    std::size_t next_ = 0;
    bool asked_ = false;
};

} // namespace strata::cpu::lockstep
