#include "devices/pci/bus.hpp"

#include "devices/router.hpp"

namespace strata::devices::pci {

void Bus::add(unsigned slot, unsigned function, Function& device) {
    slot %= slots;
    function %= functions_per_slot;
    functions_[slot * functions_per_slot + function] = &device;
    Function* first = functions_[slot * functions_per_slot];
    if (function != 0 && first != nullptr) {
        first->set_multifunction();
    }
    if (const unsigned pin = device.interrupt_pin(); pin != 0) {
        const unsigned line = line_of(slot, pin - 1);
        device.connect_intx([this, line](bool asserted) { drive(line, asserted); });
    }
    env_.router.add(device);
}

// Level-triggered and active low: the line is asserted while any function pulls it.
void Bus::drive(unsigned line, bool asserted) {
    const bool before = asserted_[line] != 0;
    asserted_[line] = asserted ? asserted_[line] + 1 : asserted_[line] - 1;
    if (const bool after = asserted_[line] != 0; after != before && outputs_[line]) {
        outputs_[line](after);
    }
}

std::uint32_t Bus::read_config(unsigned device_function, unsigned offset, unsigned size) const {
    Function* function = at(device_function);
    return function == nullptr ? ~std::uint32_t{0} : function->read_config(offset, size);
}

void Bus::write_config(unsigned device_function, unsigned offset, unsigned size, std::uint32_t value) const {
    if (Function* function = at(device_function); function != nullptr) {
        function->write_config(offset, size, value);
    }
}

} // namespace strata::devices::pci
