#include "devices/pci/host_bridge.hpp"

#include "base/bits.hpp"

namespace strata::devices::pci {
namespace {

enum RegionIndex : unsigned { ports, ecam };

constexpr std::uint64_t data_offset = 4; // of port 0xCFC in the region of ports
constexpr std::uint64_t reset_offset = 1;
constexpr unsigned address_enable = 31;

// Of the reset control register (Intel ICH9 datasheet, section 13.7.5).
constexpr std::uint8_t reset_cpu = 1 << 2, reset_system = 1 << 1, reset_full = 1 << 3;

constexpr std::uint64_t all_ones = ~std::uint64_t{0};

} // namespace

HostBridge::RootFunction::RootFunction(const Environment& environment)
    // The identity of a generic PCI Express host bridge, which drivers have no special treatment for.
    : Function(environment, {.vendor = 0x1B36, .device = 0x0008, .class_code = 0x060000}) {}

HostBridge::HostBridge(const Environment& environment, Bus& bus, std::uint64_t ecam_base)
    : env_(environment), bus_(bus), ecam_base_(ecam_base), root_(environment) {
    bus_.add(0, 0, root_);
}

std::vector<Region> HostBridge::regions() const {
    return {{"pci-ports", Space::port, 0xCF8, 8, 1, 4},
            {"pci-ecam", Space::memory, ecam_base_, ecam_bus_size, 1, 4}};
}

HostBridge::Target HostBridge::target_of(unsigned region, std::uint64_t offset) const {
    if (region == ecam) {
        const auto reg_offset = static_cast<unsigned>(bits(offset, 11, 0));
        // The functions are conventional: no extended configuration space.
        return {reg_offset < ConfigSpace::size, static_cast<unsigned>(bits(offset, 19, 12)), reg_offset};
    }
    const bool exists = test_bit(address_, address_enable) && bits(address_, 23, 16) == 0;
    return {exists, static_cast<unsigned>(bits(address_, 15, 8)),
            static_cast<unsigned>((address_ & 0xFC) + (offset - data_offset))};
}

std::uint64_t HostBridge::read(unsigned region, std::uint64_t offset, unsigned size) {
    if (region == ports && offset < data_offset) {
        if (size == 4) {
            return address_;
        }
        return offset == reset_offset && size == 1 ? reset_control_ : all_ones;
    }
    const Target target = target_of(region, offset);
    return target.exists ? bus_.read_config(target.device_function, target.offset, size) : all_ones;
}

void HostBridge::write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) {
    if (region == ports && offset < data_offset) {
        if (size == 4) {
            address_ = static_cast<std::uint32_t>(value);
        } else if (offset == reset_offset && size == 1) {
            write_reset_control(static_cast<std::uint8_t>(value));
        }
        return;
    }
    const Target target = target_of(region, offset);
    if (target.exists) {
        bus_.write_config(target.device_function, target.offset, size, static_cast<std::uint32_t>(value));
    }
}

void HostBridge::write_reset_control(std::uint8_t value) {
    const bool rises = (value & reset_cpu) != 0 && (reset_control_ & reset_cpu) == 0;
    reset_control_ = value & (reset_system | reset_full);
    if (rises) {
        env_.power.reset();
    }
}

void HostBridge::reset() {
    root_.reset();
    address_ = 0;
    reset_control_ = 0;
}

void HostBridge::visit(StateVisitor& visitor) {
    root_.visit(visitor);
    visitor.field("address", address_);
    visitor.field("reset_control", reset_control_);
}

} // namespace strata::devices::pci
