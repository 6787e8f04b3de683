// A PCI bus: 32 device slots of 8 functions, and the four interrupt lines they share. PCI Local Bus
// Specification 3.0, sections 2.2.6 and 3.2.2.3.
#pragma once

#include "devices/pci/function.hpp"

#include <array>
#include <cstdint>

namespace strata::devices::pci {

class Bus {
public:
    static constexpr unsigned slots = 32, functions_per_slot = 8, lines = 4;

    explicit Bus(const Environment& environment) : env_(environment) {}

    // Puts a function into a slot and adds it to the router. The function outlives the bus.
    void add(unsigned slot, unsigned function, Function& device);

    // The shared lines' outputs: pin INTx (0 to 3) of a slot drives line (pin + slot) % 4, as board designers
    // spread the load; the ACPI table of the board says the same.
    void connect_line(unsigned line, InterruptLine output) { outputs_[line] = std::move(output); }

    [[nodiscard]] static unsigned line_of(unsigned slot, unsigned pin) { return (slot + pin) % lines; }

    [[nodiscard]] Function* at(unsigned device_function) const { return functions_[device_function & 0xFF]; }

    // `device_function`: slot in bits 7:3, function in 2:0. Aligned, within 256 bytes. Where nobody is, reads
    // are all ones.
    [[nodiscard]] std::uint32_t read_config(unsigned device_function, unsigned offset, unsigned size) const;
    void write_config(unsigned device_function, unsigned offset, unsigned size, std::uint32_t value) const;

private:
    void drive(unsigned line, bool asserted);

    Environment env_;
    std::array<Function*, slots * functions_per_slot> functions_{};
    std::array<InterruptLine, lines> outputs_;
    std::array<unsigned, lines> asserted_{}; // by how many functions
};

} // namespace strata::devices::pci
