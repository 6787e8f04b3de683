#include "machine/boards/micro.hpp"

#include "devices/acpi_pm.hpp"
#include "devices/coprocessor_error.hpp"
#include "devices/debug_console.hpp"
#include "devices/debug_exit.hpp"
#include "devices/fw_cfg.hpp"
#include "devices/i8042.hpp"
#include "devices/i8254.hpp"
#include "devices/irq/apic_bus.hpp"
#include "devices/irq/i8259.hpp"
#include "devices/irq/io_apic.hpp"
#include "devices/mc146818.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/post_port.hpp"
#include "devices/pvpanic.hpp"
#include "devices/uart16550.hpp"
#include "devices/virtio/block.hpp"
#include "devices/virtio/console.hpp"
#include "devices/virtio/net.hpp"
#include "devices/virtio/pci_transport.hpp"
#include "devices/virtio/rng.hpp"
#include "machine/boards/apic_gateway.hpp"
#include "machine/boards/doorbells.hpp"
#include "machine/boards/processor.hpp"
#include "machine/firmware/pci_setup.hpp"
#include "machine/firmware/processor_setup.hpp"
#include "machine/memory_map.hpp"
#include "machine/tables/acpi.hpp"
#include "machine/tables/e820.hpp"

#include <array>
#include <functional>

namespace strata::machine {
namespace {

using namespace devices;
using Lock = std::lock_guard<DeviceLock>;

namespace irq {
constexpr unsigned timer = 0, serial = 4, rtc = 8, sci = 9, coprocessor = 13;
constexpr std::array<unsigned, pci::Bus::lines> pci_lines{5, 7, 10, 11};
} // namespace irq

constexpr std::uint16_t serial_port = 0x3F8;

class MicroBoard final : public Board {
public:
    MicroBoard(const BoardConfig& config, Backends backends);

    cpu::Bus& bus(unsigned vcpu) override { return *processors_[vcpu]; }

    void connect(std::span<cpu::Vcpu* const> vcpus, const Assistance& assistance) override;

    void reset() override;
    Result<void> boot(const loader::BootRequest& request) override;

    void press_power_button() override { acpi_pm_->press_power_button(); }

    devices::Router& router() override { return router_; }

private:
    friend struct Wiring;

    // Makes a device and connects it to the ports and memory.
    template <class T, class... Arguments>
    T* add(Arguments&&... arguments) {
        auto device = std::make_unique<T>(std::forward<Arguments>(arguments)...);
        T* raw = device.get();
        devices_.push_back(std::move(device));
        router_.add(*raw);
        return raw;
    }

    // Puts a virtio device into the next PCI slot.
    void add_virtio(std::unique_ptr<virtio::VirtioDevice> device);

    // An ISA interrupt reaches both controllers; the timer is on pin 2 of the I/O APIC.
    [[nodiscard]] InterruptLine isa_irq(unsigned number);

    [[nodiscard]] acpi::Platform acpi_platform() const;
    void set_up_like_firmware();
    void give_local_apics();
    void take_local_apics();

    BoardConfig config_;
    Backends backends_;
    Router router_;
    ApicBus apic_bus_;
    std::optional<ApicGateway> apic_gateway_; // while the vCPUs have local APICs of their own
    Environment environment_;
    pci::Bus pci_;
    unsigned next_slot_ = 1; // 0 is the host bridge
    std::vector<std::unique_ptr<Device>> devices_;
    Doorbells doorbells_;
    I8259Pair* pic_ = nullptr;
    IoApic* io_apic_ = nullptr;
    CoprocessorError* coprocessor_error_ = nullptr;
    AcpiPm* acpi_pm_ = nullptr;
    Mc146818* rtc_ = nullptr;
    FwCfg* fw_cfg_ = nullptr;
    std::vector<std::unique_ptr<Processor>> processors_;
};

// The wiring table: a row a device, in the order in which they are made.
struct Wiring {
    Part part;
    void (*wire)(MicroBoard& board);

    static void pic(MicroBoard& b) {
        b.pic_ =
            b.add<I8259Pair>([&b](bool asserted) { b.processors_[0]->local_apic().set_lint(0, asserted); });
    }

    static void io_apic(MicroBoard& b) {
        b.io_apic_ = b.add<IoApic>(b.apic_bus_, std::uint8_t{0}, memory_map::io_apic);
    }

    static void pit(MicroBoard& b) { b.add<I8254>(b.environment_, b.isa_irq(irq::timer)); }

    static void rtc(MicroBoard& b) {
        b.rtc_ = b.add<Mc146818>(b.environment_, b.config_.boot_time, b.isa_irq(irq::rtc));
    }

    static void coprocessor(MicroBoard& b) {
        b.coprocessor_error_ = b.add<CoprocessorError>(b.isa_irq(irq::coprocessor));
    }

    static void keyboard(MicroBoard& b) { b.add<I8042>(b.environment_); }

    static void serial(MicroBoard& b) {
        b.add<Uart16550>(b.environment_, Uart16550::Config{.base = serial_port}, b.isa_irq(irq::serial),
                         b.backends_.serial.get());
    }

    static void acpi_pm(MicroBoard& b) { b.acpi_pm_ = b.add<AcpiPm>(b.environment_, b.isa_irq(irq::sci)); }

    static void fw_cfg(MicroBoard& b) { b.fw_cfg_ = b.add<FwCfg>(b.environment_); }

    static void debug_console(MicroBoard& b) {
        b.add<DebugConsole>(b.environment_, b.backends_.debug_console.get());
    }

    static void debug_exit(MicroBoard& b) { b.add<DebugExit>(b.environment_); }

    static void panic(MicroBoard& b) { b.add<PvPanic>(b.environment_); }

    static void post(MicroBoard& b) { b.add<PostPort>(); }

    static void pci_host(MicroBoard& b) {
        b.add<pci::HostBridge>(b.environment_, b.pci_, memory_map::ecam);
        for (unsigned line = 0; line < pci::Bus::lines; ++line) {
            b.pci_.connect_line(line, b.isa_irq(irq::pci_lines[line]));
        }
    }

    static void disks(MicroBoard& b) {
        for (const auto& disk : b.backends_.disks) {
            const auto queues = static_cast<std::uint16_t>(b.config_.cpus);
            b.add_virtio(
                virtio::create_block(b.environment_, *disk.image, {.serial = disk.name, .queues = queues}));
        }
    }

    static void network(MicroBoard& b) {
        if (b.backends_.network) {
            b.add_virtio(virtio::create_net(b.environment_, *b.backends_.network, {}));
        }
    }

    static void console(MicroBoard& b) {
        if (b.backends_.console) {
            b.add_virtio(virtio::create_console(b.environment_, *b.backends_.console));
        }
    }

    static void rng(MicroBoard& b) {
        b.add_virtio(b.config_.repeats ? virtio::create_repeating_rng(b.environment_)
                                       : virtio::create_rng(b.environment_));
    }
};

constexpr std::array wiring{
    Wiring{{I8259Pair::info, "ports 0x20, 0xA0, 0x4D0; LINT0 of processor 0"}, Wiring::pic},
    Wiring{{IoApic::info, "0xFEC00000"}, Wiring::io_apic},
    Wiring{{I8254::info, "ports 0x40, 0x61; IRQ 0"}, Wiring::pit},
    Wiring{{Mc146818::info, "ports 0x70, 0x71; IRQ 8"}, Wiring::rtc},
    Wiring{{CoprocessorError::info, "port 0xF0; IRQ 13"}, Wiring::coprocessor},
    Wiring{{I8042::info, "ports 0x60, 0x64, 0x92"}, Wiring::keyboard},
    Wiring{{Uart16550::info, "port 0x3F8; IRQ 4; --serial"}, Wiring::serial},
    Wiring{{AcpiPm::info, "port 0x600; IRQ 9"}, Wiring::acpi_pm},
    Wiring{{FwCfg::info, "port 0x510"}, Wiring::fw_cfg},
    Wiring{{DebugConsole::info, "--debug-console"}, Wiring::debug_console},
    Wiring{{DebugExit::info, ""}, Wiring::debug_exit},
    Wiring{{PvPanic::info, ""}, Wiring::panic},
    Wiring{{PostPort::info, ""}, Wiring::post},
    Wiring{{pci::HostBridge::info, "ports 0xCF8, 0xCFC; ECAM at 0xE0000000; lines on IRQ 5, 7, 10, 11"},
           Wiring::pci_host},
    Wiring{{virtio::block_info, "PCI; one for each --disk"}, Wiring::disks},
    Wiring{{virtio::net_info, "PCI; unless --net none"}, Wiring::network},
    Wiring{{virtio::console_info, "PCI; with --console"}, Wiring::console},
    Wiring{{virtio::rng_info, "PCI"}, Wiring::rng},
};

MicroBoard::MicroBoard(const BoardConfig& config, Backends backends)
    : config_(config), backends_(std::move(backends)),
      environment_{config.clock, config.loop, config.memory, router_, apic_bus_, config.power},
      pci_(environment_), doorbells_(router_, config.loop) {
    for (const Wiring& row : wiring) {
        row.wire(*this);
    }
    const Processor::Shared shared{.config = config_,
                                   .environment = environment_,
                                   .apic_bus = apic_bus_,
                                   .external = pic_,
                                   .floating_point_error = [this] { coprocessor_error_->raise(); },
                                   .boot_time = config.boot_time};
    router_.on_change([this] { doorbells_.follow_map(); });
    for (unsigned id = 0; id < config.cpus; ++id) {
        processors_.push_back(std::make_unique<Processor>(shared, id));
    }
}

InterruptLine MicroBoard::isa_irq(unsigned number) {
    const unsigned pin = number == irq::timer ? 2 : number;
    return [this, number, pin](bool asserted) {
        pic_->set_irq(number, asserted);
        io_apic_->set_pin(pin, asserted);
    };
}

void MicroBoard::add_virtio(std::unique_ptr<virtio::VirtioDevice> device) {
    auto function = std::make_unique<virtio::PciTransport>(environment_, std::move(device));
    pci_.add(next_slot_++, 0, *function);
    const auto doorbells = function->doorbells();
    for (std::size_t i = 0; i < doorbells.count; ++i) {
        doorbells_.add(*function, doorbells.region, doorbells.offset + i * doorbells.stride);
    }
    devices_.push_back(std::move(function));
}

void MicroBoard::connect(std::span<cpu::Vcpu* const> vcpus, const Assistance& assistance) {
    const Lock lock(config_.lock);
    take_local_apics();
    for (std::size_t id = 0; id < vcpus.size(); ++id) {
        processors_[id]->connect(*vcpus[id]);
    }
    apic_gateway_.reset();
    if (assistance.local_apics != nullptr) {
        apic_gateway_.emplace(*assistance.local_apics, apic_bus_, config_.lock);
        give_local_apics();
    }
    doorbells_.listen_by(assistance.write_events);
}

// To the vCPUs, if they have local APICs of their own.
void MicroBoard::give_local_apics() {
    if (apic_gateway_) {
        for (const auto& processor : processors_) {
            processor->give_local_apic();
        }
        apic_bus_.set_carrier(&*apic_gateway_);
    }
}

void MicroBoard::take_local_apics() {
    if (apic_gateway_) {
        apic_bus_.set_carrier(nullptr);
        for (const auto& processor : processors_) {
            processor->take_local_apic();
        }
    }
}

void MicroBoard::reset() {
    const Lock lock(config_.lock);
    take_local_apics(); // boot() gives them back
    for (const auto& processor : processors_) {
        processor->reset();
    }
    for (const auto& device : devices_) {
        device->reset();
    }
}

acpi::Platform MicroBoard::acpi_platform() const {
    return {.cpus = config_.cpus,
            .sci = irq::sci,
            .pci_irqs = irq::pci_lines,
            .serial_ports = {{serial_port, irq::serial}}};
}

// What a kernel may expect to have been done before it runs.
void MicroBoard::set_up_like_firmware() {
    for (const auto& processor : processors_) {
        auto state = processor->vcpu().state();
        set_memory_types(state);
        processor->vcpu().set_state(state);
    }
    set_virtual_wire(processors_[0]->local_apic());
    constexpr std::uint16_t edge_level_control = 0x4D0;
    std::uint32_t level = 1U << irq::sci;
    for (const unsigned number : irq::pci_lines) {
        level |= 1U << number;
    }
    router_.write(Space::port, edge_level_control, 1, level & 0xFF);
    router_.write(Space::port, edge_level_control + 1, 1, level >> 8);
    set_up_pci(pci_, irq::pci_lines);
    const auto slots = config_.memory.slots();
    rtc_->set_memory_size(slots[0].size, slots.size() > 1 ? slots[1].size : 0);
}

Result<void> MicroBoard::boot(const loader::BootRequest& request) {
    const Lock lock(config_.lock);
    set_up_like_firmware();
    const auto tables = acpi::build_tables(acpi_platform(), memory_map::firmware_tables);
    if (!config_.memory.write(tables.base, tables.bytes.data(), tables.bytes.size())) {
        return fail("the ACPI tables do not fit into the guest's memory",
                    "give the machine at least 1M of --memory");
    }
    const auto e820 = e820_map(config_.memory);
    auto state = loader::load(request, {.memory = config_.memory,
                                        .e820 = e820,
                                        .rsdp = tables.rsdp,
                                        .long_mode = config_.model.has(cpu::x86::Feature::lm)});
    if (!state) {
        return std::unexpected(state.error());
    }
    set_memory_types(*state);
    processors_[0]->vcpu().set_state(*state);
    give_local_apics();
    return {};
}

std::vector<Part> parts() {
    std::vector<Part> rows{{LocalApic::info, "0xFEE00000"}};
    for (const Wiring& row : wiring) {
        rows.push_back(row.part);
    }
    return rows;
}

Result<std::unique_ptr<Board>> create(const BoardConfig& config, Backends backends) {
    return std::make_unique<MicroBoard>(config, std::move(backends));
}

} // namespace

const BoardInfo micro_board{
    "micro", "direct kernel boot; virtio devices on PCI Express; no firmware, no display", parts, create};

} // namespace strata::machine
