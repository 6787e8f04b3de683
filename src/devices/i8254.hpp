// The 8254 programmable interval timer, and port 0x61 with what the PC wires to it: counter 2's gate and
// output, the speaker, the refresh toggle. Intel 8254 datasheet (231164-005); IBM PC/AT Technical Reference
// for port 0x61.
#pragma once

#include "devices/device.hpp"
#include "devices/i8254_counter.hpp"
#include "devices/info.hpp"

#include <array>
#include <cstdint>

namespace strata::devices {

class I8254 final : public Device {
public:
    static constexpr DeviceInfo info{"pit", "Intel 8254 programmable interval timer and port 0x61"};

    // `interrupt` is counter 0's output: IRQ 0.
    I8254(const Environment& environment, InterruptLine interrupt);

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    [[nodiscard]] std::uint64_t ticks() const; // of the 1.193182 MHz clock
    void write_control(std::uint8_t value);
    [[nodiscard]] std::uint8_t read_system_port() const;
    void write_system_port(std::uint8_t value);
    void follow_output();
    void arm(); // for the next change of counter 0's output

    Environment env_;
    InterruptLine interrupt_;
    EventLoop::Timer timer_;
    std::array<I8254Counter, 3> counters_;
    std::uint8_t system_port_ = 0; // bits 0 (gate 2) and 1 (speaker data) of port 0x61
    std::uint64_t seen_ = 0;       // ticks up to which IRQ 0 has been told
    bool output_ = false;          // what it was told
};

} // namespace strata::devices
