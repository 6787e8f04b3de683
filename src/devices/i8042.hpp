// The 8042 keyboard controller without a keyboard: what firmware and kernels ask of it at start-up, the reset
// pulse, and the A20 gate here and at port 0x92. IBM PC/AT Technical Reference, "Keyboard Controller".
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

#include <cstdint>

namespace strata::devices {

class I8042 final : public Device {
public:
    static constexpr DeviceInfo info{"i8042",
                                     "Keyboard controller without keyboard: reset and A20, port 0x92"};

    explicit I8042(const Environment& environment) : power_(environment.power) { reset(); }

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    void command(std::uint8_t value);
    void data(std::uint8_t value);
    void answer(std::uint8_t value);
    void write_output_port(std::uint8_t value);
    void write_system_control(std::uint8_t value);

    PowerControl& power_;
    std::uint8_t status_ = 0;
    std::uint8_t output_ = 0;          // what port 0x60 reads
    std::uint8_t command_byte_ = 0;    // interrupt enables, disables, translation
    std::uint8_t output_port_ = 0;     // A20 in bit 1
    std::uint8_t pending_command_ = 0; // waits for its byte at port 0x60; 0: none
    std::uint8_t system_control_ = 0;  // port 0x92
};

} // namespace strata::devices
