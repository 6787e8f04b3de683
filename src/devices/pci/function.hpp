// A PCI function with a type 0 header: identity, base address registers, capabilities, INTx and MSI-X. A
// device derives from it and sees accesses to its BARs only. PCI Local Bus Specification 3.0.
#pragma once

#include "devices/device.hpp"
#include "devices/pci/config_space.hpp"
#include "devices/pci/msix.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace strata::devices::pci {

struct Identity {
    std::uint16_t vendor = 0, device = 0;
    std::uint32_t class_code = 0; // base class, subclass, interface
    std::uint8_t revision = 0;
    std::uint16_t subsystem_vendor = 0, subsystem = 0;
    std::uint8_t interrupt_pin = 0; // 1 to 4: INTA# to INTD#; 0: none
};

enum class BarKind : std::uint8_t { io, memory32, memory64 };

class Function : public Device {
public:
    // A BAR: region `region` of the device, at `index` of six (a 64-bit one takes the next as well).
    struct Bar {
        unsigned index;
        unsigned region;
        BarKind kind;
        std::uint64_t size;
        std::optional<std::uint64_t> mapped; // where the router has it
    };

    Function(const Environment& environment, const Identity& identity);

    // Device. A derived class extends on_reset() and visit() (calling this one first).
    [[nodiscard]] std::vector<Region> regions() const final { return regions_; }

    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) final;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) final;
    void reset() final;
    void visit(StateVisitor& visitor) override;

    // From the bus: `offset` < 256, aligned accesses of 1, 2 or 4 bytes.
    [[nodiscard]] std::uint32_t read_config(unsigned offset, unsigned size);
    void write_config(unsigned offset, unsigned size, std::uint32_t value);

    void connect_intx(InterruptLine line) { intx_line_ = std::move(line); }

    [[nodiscard]] unsigned interrupt_pin() const { return config_.get<std::uint8_t>(reg::interrupt_pin); }

    [[nodiscard]] std::span<const Bar> bars() const { return bars_; }

    // Function 0 of a device that has others.
    void set_multifunction();

protected:
    // Declarations, for the derived class's constructor.

    // A BAR of a power of two bytes (at least 16 for memory, 4 for I/O); returns the region's index in
    // read_bar() and write_bar().
    unsigned add_bar(unsigned index, BarKind kind, std::uint64_t size, std::string_view name,
                     unsigned min_access = 1, unsigned max_access = 8);
    // A capability: `body` follows the two header bytes; a bit of `writable` (as long as body, or empty) says
    // that software may change it. Returns its offset.
    unsigned add_capability(std::uint8_t id, std::span<const std::uint8_t> body,
                            std::span<const std::uint8_t> writable = {});
    // MSI-X with a BAR of its own.
    void add_msix(unsigned bar, unsigned vectors);

    // What the device does.

    virtual std::uint64_t read_bar(unsigned region, std::uint64_t offset, unsigned size) = 0;
    virtual void write_bar(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) = 0;
    virtual void on_reset() = 0;

    // For registers in configuration space that do more than hold a value.
    virtual void before_config_read(unsigned /*offset*/, unsigned /*size*/) {}

    virtual void after_config_write(unsigned /*offset*/, unsigned /*size*/) {}

    // What the device uses.

    // The level of INTx; reaches the pin unless MSI-X is enabled or the command register forbids it.
    void set_intx(bool asserted);
    // Sends an MSI-X message, or keeps it pending while masked.
    void notify(unsigned vector);

    [[nodiscard]] bool msix_enabled() const { return msix_ && msix_->enabled(); }

    [[nodiscard]] unsigned msix_vectors() const { return msix_ ? msix_->vectors() : 0; }

    // A device that is not bus master must not touch memory.
    [[nodiscard]] bool bus_master() const { return command() & command::bus_master; }

    Environment env_;
    ConfigSpace config_;

private:
    [[nodiscard]] std::uint16_t command() const { return config_.get<std::uint16_t>(reg::command); }

    // Brings the router, MSI-X and the pin in line with configuration space.
    void follow_config();
    [[nodiscard]] std::optional<std::uint64_t> wanted_base(const Bar& bar) const;
    void update_intx();

    std::vector<Region> regions_;
    std::vector<Bar> bars_;
    std::unique_ptr<Msix> msix_; // null: none
    unsigned msix_region_ = ~0U, msix_capability_ = 0;
    unsigned next_capability_ = 0x40, last_capability_ = reg::capabilities;
    InterruptLine intx_line_;
    bool intx_wanted_ = false;   // by the device
    bool intx_asserted_ = false; // on the pin
};

} // namespace strata::devices::pci
