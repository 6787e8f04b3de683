#include "devices/irq/i8259.hpp"

namespace strata::devices {
namespace {

enum RegionIndex : unsigned { master_ports, slave_ports, elcr_ports };

} // namespace

std::vector<Region> I8259Pair::regions() const {
    return {{"pic-master", Space::port, 0x20, 2, 1, 1},
            {"pic-slave", Space::port, 0xA0, 2, 1, 1},
            {"pic-elcr", Space::port, 0x4D0, 2, 1, 1}};
}

void I8259Pair::set_irq(unsigned irq, bool asserted) {
    if (irq >= 16 || irq == cascade_pin) {
        return;
    }
    (irq < 8 ? master_ : slave_).set_input(irq % 8, asserted);
    update();
}

std::uint8_t I8259Pair::acknowledge() {
    const unsigned pin = master_.take();
    const std::uint8_t vector = pin == cascade_pin ? slave_.vector_of(slave_.take()) : master_.vector_of(pin);
    update();
    return vector;
}

void I8259Pair::update() {
    master_.set_input(cascade_pin, slave_.output());
    if (const bool asserted = master_.output(); asserted != asserted_) {
        asserted_ = asserted;
        output_(asserted);
    }
}

std::uint64_t I8259Pair::read(unsigned region, std::uint64_t offset, unsigned /*size*/) {
    if (region == elcr_ports) {
        return (offset == 0 ? master_ : slave_).elcr();
    }
    const std::uint8_t value =
        (region == master_ports ? master_ : slave_).read(static_cast<unsigned>(offset));
    update(); // a poll takes the request
    return value;
}

void I8259Pair::write(unsigned region, std::uint64_t offset, unsigned /*size*/, std::uint64_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    if (region == elcr_ports) {
        (offset == 0 ? master_ : slave_).set_elcr(byte);
    } else {
        (region == master_ports ? master_ : slave_).write(static_cast<unsigned>(offset), byte);
    }
    update();
}

void I8259Pair::reset() {
    master_.reset();
    slave_.reset();
    update();
}

void I8259Pair::visit(StateVisitor& visitor) {
    master_.visit(visitor);
    slave_.visit(visitor);
    if (visitor.loading()) {
        update();
    }
}

} // namespace strata::devices
