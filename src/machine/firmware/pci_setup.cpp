#include "machine/firmware/pci_setup.hpp"

#include "base/bits.hpp"
#include "machine/memory_map.hpp"

namespace strata::machine {
namespace {

using devices::pci::BarKind;
using devices::pci::Bus;
using devices::pci::Function;
namespace reg = devices::pci::reg;
namespace command = devices::pci::command;

// Gives out naturally aligned pieces of a window from its start.
class Window {
public:
    Window(std::uint64_t base, std::uint64_t size) : next_(base), end_(base + size) {}

    // 0 if no more fits: the register stays unassigned and the guest may try.
    std::uint64_t take(std::uint64_t size) {
        const std::uint64_t base = align_up(next_, size);
        if (size > end_ - next_ || base > end_ - size) {
            return 0;
        }
        next_ = base + size;
        return base;
    }

private:
    std::uint64_t next_, end_;
};

constexpr std::uint64_t io_window = 0xC000, io_window_size = 0x4000;

void place_registers(Bus& bus, unsigned device_function, const Function& function, Window& io,
                     Window& memory) {
    for (const auto& bar : function.bars()) {
        const std::uint64_t base = (bar.kind == BarKind::io ? io : memory).take(bar.size);
        const unsigned offset = reg::bar0 + 4 * bar.index;
        bus.write_config(device_function, offset, 4, static_cast<std::uint32_t>(base));
        if (bar.kind == BarKind::memory64) {
            bus.write_config(device_function, offset + 4, 4, static_cast<std::uint32_t>(base >> 32));
        }
    }
}

} // namespace

void set_up_pci(Bus& bus, const std::array<unsigned, Bus::lines>& irqs) {
    Window io(io_window, io_window_size);
    Window memory(memory_map::pci_window, memory_map::pci_window_size);
    for (unsigned device_function = 0; device_function < Bus::slots * Bus::functions_per_slot;
         ++device_function) {
        const Function* function = bus.at(device_function);
        if (function == nullptr) {
            continue;
        }
        place_registers(bus, device_function, *function, io, memory);
        if (const unsigned pin = function->interrupt_pin(); pin != 0) {
            const unsigned slot = device_function / Bus::functions_per_slot;
            bus.write_config(device_function, reg::interrupt_line, 1, irqs[Bus::line_of(slot, pin - 1)]);
        }
        if (!function->bars().empty()) {
            bus.write_config(device_function, reg::command, 2, command::io | command::memory);
        }
    }
}

} // namespace strata::machine
