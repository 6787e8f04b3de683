// The host bridge: how the processor reaches configuration space, by ports 0xCF8/0xCFC (PCI Local Bus
// Specification 3.0, section 3.2.2.3.2) and by memory (PCI Express Base Specification 3.0, section 7.2.2:
// ECAM), and the reset control register among the ports, 0xCF9. It is itself function 00:00.0.
#pragma once

#include "devices/info.hpp"
#include "devices/pci/bus.hpp"

#include <cstdint>

namespace strata::devices::pci {

class HostBridge final : public Device {
public:
    static constexpr DeviceInfo info{"pci-host", "PCI Express host bridge with ECAM and ports 0xCF8/0xCFC"};
    static constexpr std::uint64_t ecam_bus_size = 1 << 20;
    static constexpr std::uint16_t reset_port = 0xCF9;
    static constexpr std::uint8_t reset_value = 0x06; // what a write to reset_port resets by

    // The bridge of bus 0, whose ECAM is at `ecam_base` (a multiple of 1 MiB). Adds 00:00.0 to the bus; the
    // board adds the bridge itself to the router.
    HostBridge(const Environment& environment, Bus& bus, std::uint64_t ecam_base);

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    // 00:00.0: an identity and nothing else.
    class RootFunction final : public Function {
    public:
        explicit RootFunction(const Environment& environment);

        [[nodiscard]] std::string_view name() const override { return "pci-root"; }

    protected:
        std::uint64_t read_bar(unsigned, std::uint64_t, unsigned) override { return 0; }

        void write_bar(unsigned, std::uint64_t, unsigned, std::uint64_t) override {}

        void on_reset() override {}
    };

    // Where in configuration space an access goes; `bus` 0 is ours, others are empty.
    struct Target {
        bool exists;
        unsigned device_function;
        unsigned offset;
    };

    [[nodiscard]] Target target_of(unsigned region, std::uint64_t offset) const;
    void write_reset_control(std::uint8_t value);

    Environment env_;
    Bus& bus_;
    std::uint64_t ecam_base_;
    RootFunction root_;
    std::uint32_t address_ = 0;      // port 0xCF8
    std::uint8_t reset_control_ = 0; // port 0xCF9
};

} // namespace strata::devices::pci
