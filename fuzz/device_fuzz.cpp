// Every device of the board but virtio's, driven through the regions that it declares: random accesses, time,
// input, acknowledges, saving and restoring. New devices are added to Machine and need nothing else.
#include "base/state_stream.hpp"
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
#include "devices/irq/local_apic.hpp"
#include "devices/mc146818.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/post_port.hpp"
#include "devices/pvpanic.hpp"
#include "devices/router.hpp"
#include "devices/uart16550.hpp"
#include "input.hpp"

#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace strata::fuzz {
namespace {

using namespace devices;

// What must hold whatever the guest does.
void require(bool condition, std::string_view what) {
    if (!condition) {
        std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(what.size()), what.data());
        std::abort();
    }
}

class NoPower final : public PowerControl {
public:
    void power_off() override {}

    void reset() override {}

    void exit_with(int status) override {
        require(status > 0 && status < 256 && status % 2 == 1, "exit status");
    }

    void panicked() override {}
};

class Processor final : public InterruptTarget {
public:
    void set_interrupt(bool asserted) override { interrupt = asserted; }

    void nmi() override {}

    void smi() override {}

    void init() override {}

    void startup(std::uint8_t /*vector*/) override {}

    bool interrupt = false;
};

class Terminal final : public backends::CharBackend {
public:
    void write(std::span<const std::byte> /*bytes*/) override {}

    std::size_t type(std::span<const std::uint8_t> bytes) { return deliver(std::as_bytes(bytes)); }
};

// A PCI function with each kind of BAR.
class Card final : public pci::Function {
public:
    explicit Card(const Environment& environment)
        : Function(environment, {.vendor = 1, .device = 2, .class_code = 0xFF0000, .interrupt_pin = 1}) {
        add_bar(0, pci::BarKind::memory64, 0x1000, "card-memory");
        add_bar(2, pci::BarKind::io, 0x20, "card-ports", 1, 4);
        add_msix(3, 5);
    }

    [[nodiscard]] std::string_view name() const override { return "card"; }

protected:
    std::uint64_t read_bar(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/) override {
        return offset;
    }

    void write_bar(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/,
                   std::uint64_t value) override {
        if ((offset & 1) != 0) {
            set_intx((value & 1) != 0);
        } else {
            notify(static_cast<unsigned>(value));
        }
    }

    void on_reset() override {}
};

class Machine {
public:
    static constexpr unsigned cpu_count = 3;

    Machine(EventLoop& loop, memory::GuestMemory& memory) : loop_(loop), memory_(memory) {
        for (std::uint32_t i = 0; i < cpu_count; ++i) {
            apics.push_back(std::make_unique<LocalApic>(environment, bus, cpus[i],
                                                        LocalApic::Config{.id = i, .bootstrap = i == 0},
                                                        i == 0 ? &pic_ : nullptr));
            all_.push_back(apics.back().get());
        }
        for (unsigned line = 0; line < pci::Bus::lines; ++line) {
            pci_.connect_line(line, irq(16 + line));
        }
        fw_cfg_.add_file("file", std::vector<std::byte>(100));
        for (Device* device : std::initializer_list<Device*>{
                 &pic_, &io_apic_, &pit_, &rtc_, &uart_, &acpi_pm_, &fw_cfg_, &debug_console_, &debug_exit_,
                 &pvpanic_, &post_, &i8042_, &coprocessor_, &host_bridge_}) {
            router.add(*device);
            all_.push_back(device);
        }
        pci_.add(1, 0, card_);
        all_.push_back(&card_);
        reset();
    }

    void reset() {
        for (Device* device : all_) {
            device->reset();
        }
    }

    // Runs what is due.
    void run() {
        loop_.stop();
        loop_.run();
    }

    void visit(StateWriter& visitor) {
        for (Device* device : all_) {
            visitor.section(device->name());
            device->visit(visitor);
        }
    }

    void visit(StateReader& visitor) {
        for (Device* device : all_) {
            visitor.section(device->name());
            device->visit(visitor);
        }
    }

    std::vector<std::byte> save() {
        StateWriter writer;
        visit(writer);
        const auto saved = writer.result();
        require(saved.has_value(), saved ? "" : saved.error().message);
        return writer.bytes();
    }

    // The first device whose state is another in `other`; empty if there is none.
    std::string_view difference(Machine& other) {
        for (std::size_t i = 0; i < all_.size(); ++i) {
            StateWriter mine, theirs;
            all_[i]->visit(mine);
            other.all_[i]->visit(theirs);
            if (mine.bytes() != theirs.bytes()) {
                return all_[i]->name();
            }
        }
        return {};
    }

    void press_power_button() { acpi_pm_.press_power_button(); }

    void set_irq(unsigned number, bool asserted) { irq(number)(asserted); }

    Terminal terminal;
    Router router;
    ApicBus bus;
    std::array<Processor, cpu_count> cpus;
    std::vector<std::unique_ptr<LocalApic>> apics;

private:
    InterruptLine irq(unsigned number) {
        return [this, number](bool asserted) {
            pic_.set_irq(number, asserted);
            io_apic_.set_pin(number, asserted);
        };
    }

    EventLoop& loop_;
    memory::GuestMemory& memory_;
    NoPower power_;

public:
    Environment environment{loop_.clock(), loop_, memory_, router, bus, power_};

private:
    I8259Pair pic_{[this](bool asserted) { apics[0]->set_lint(0, asserted); }};
    IoApic io_apic_{bus, 1};
    I8254 pit_{environment, irq(0)};
    Mc146818 rtc_{environment, 1'700'000'000'000'000'000, irq(8)};
    Uart16550 uart_{environment, {}, irq(4), &terminal};
    AcpiPm acpi_pm_{environment, irq(9)};
    FwCfg fw_cfg_{environment};
    DebugConsole debug_console_{environment, &terminal};
    DebugExit debug_exit_{environment};
    PvPanic pvpanic_{environment};
    PostPort post_;
    I8042 i8042_{environment};
    CoprocessorError coprocessor_{irq(13)};
    pci::Bus pci_{environment};
    pci::HostBridge host_bridge_{environment, pci_, 0xE000'0000};
    Card card_{environment};
    std::vector<Device*> all_;
};

class Guest {
public:
    explicit Guest(Input input) : input_(input) {
        std::memset(memory_->host(0, memory_size), 0, memory_size);
    }

    void run() {
        while (!input_.empty()) {
            step();
        }
        machine_->run();
    }

private:
    enum class Operation : std::uint8_t {
        access_address,
        access_apic,
        access_msr,
        acknowledge,
        pass_time,
        drive_irq,
        type,
        save_and_restore,
        load_anything,
        reset,
        power_button,
        count
    };

    void step() {
        const unsigned choice = input_.take<std::uint8_t>() % (2 * static_cast<unsigned>(Operation::count));
        switch (static_cast<Operation>(choice)) {
        case Operation::access_address: access_address(); break;
        case Operation::access_apic: access_apic(); break;
        case Operation::access_msr: access_msr(); break;
        case Operation::acknowledge: acknowledge(); break;
        case Operation::pass_time:
            clock_.advance(std::int64_t{1} << input_.take<std::uint8_t>() % 42);
            machine_->run();
            break;
        case Operation::drive_irq: {
            constexpr std::array<unsigned, 8> free{3, 5, 7, 10, 12, 14, 20, 21}; // no device drives them
            const auto byte = input_.take<std::uint8_t>();
            machine_->set_irq(free[byte % free.size()], byte >= 128);
            break;
        }
        case Operation::type: type(); break;
        case Operation::save_and_restore: save_and_restore(); break;
        case Operation::load_anything: load_anything(); break;
        case Operation::reset: machine_->reset(); break;
        case Operation::power_button: machine_->press_power_button(); break;
        default: access_region(); break; // every second time
        }
    }

    LocalApic& apic() { return *machine_->apics[input_.take<std::uint8_t>() % Machine::cpu_count]; }

    void access(Space space, std::uint64_t address, unsigned size, bool write) {
        if (write) {
            machine_->router.write(space, address, size, input_.take<std::uint64_t>());
        } else {
            const std::uint64_t value = machine_->router.read(space, address, size);
            require(size == 8 || value >> (size * 8) == 0, "a read is as wide as was asked for");
        }
    }

    // Somewhere in a declared region.
    void access_region() {
        const auto mappings = machine_->router.mappings();
        const auto& mapping = mappings[input_.take<std::uint8_t>() % mappings.size()];
        const auto how = input_.take<std::uint8_t>();
        const std::uint64_t offset = input_.take<std::uint16_t>() % mapping.info.size;
        if (mapping.info.mapped) {
            const unsigned most = mapping.info.space == Space::port ? 3 : 4;
            access(mapping.info.space, mapping.info.base + offset, 1U << how % most, how >= 128);
        }
    }

    void access_address() {
        const auto how = input_.take<std::uint8_t>();
        const Space space = (how & 4) != 0 ? Space::port : Space::memory;
        const std::uint64_t address =
            space == Space::port ? input_.take<std::uint16_t>() : input_.take<std::uint64_t>();
        access(space, address, 1U << how % (space == Space::port ? 3 : 4), how >= 128);
    }

    void access_apic() {
        LocalApic& target = apic();
        const std::uint64_t offset = input_.take<std::uint8_t>() * 16U % 0x1000U;
        const auto value = input_.take<std::uint32_t>();
        if ((value & 1) != 0) {
            target.write(0, offset, 4, input_.take<std::uint32_t>());
        } else {
            (void)target.read(0, offset, 4);
        }
    }

    void access_msr() {
        LocalApic& target = apic();
        constexpr std::array<std::uint32_t, 2> others{0x1B, 0x6E0};
        const auto choice = input_.take<std::uint8_t>();
        const std::uint32_t index = choice < 64 ? 0x800U + choice : others[choice % 2];
        if (input_.take<std::uint8_t>() % 2 != 0) {
            (void)target.write_msr(index, input_.take<std::uint64_t>());
        } else {
            (void)target.read_msr(index);
        }
    }

    void acknowledge() {
        const auto cpu = input_.take<std::uint8_t>() % Machine::cpu_count;
        const bool announced = machine_->cpus[cpu].interrupt;
        const auto vector = machine_->apics[cpu]->acknowledge();
        require(announced == vector.has_value(), "INTR is asserted exactly when there is a vector");
    }

    void type() {
        const auto bytes = input_.take_bytes(input_.take<std::uint8_t>() % 32);
        require(machine_->terminal.type(bytes) <= bytes.size(), "no more is taken than is offered");
    }

    // What is saved can be loaded into a fresh machine, which saves the same.
    void save_and_restore() {
        const auto saved = machine_->save();
        auto copy = std::make_unique<Machine>(*loop_, *memory_);
        StateReader reader(saved);
        copy->visit(reader);
        require(reader.result().has_value(), "what was saved can be loaded");
        if (!damaged_) {
            const std::string_view different = machine_->difference(*copy);
            require(different.empty(), different); // the copy is the same
        }
        machine_ = std::move(copy);
    }

    // A saved state that something has damaged is refused, or harmless.
    void load_anything() {
        auto saved = machine_->save();
        for (unsigned i = input_.take<std::uint8_t>() % 16; i > 0; --i) {
            saved[input_.take<std::uint16_t>() % saved.size()] = std::byte{input_.take<std::uint8_t>()};
        }
        StateReader reader(saved);
        machine_->visit(reader);
        damaged_ = reader.result().has_value();
        if (!damaged_) {
            machine_ = std::make_unique<Machine>(*loop_, *memory_); // what was refused is not run
        }
    }

    // Made once: mapping memory takes longer than most inputs.
    static constexpr std::uint64_t memory_size = 1 << 16;
    static inline const auto memory_ = std::move(*memory::GuestMemory::create(memory_size));

    Input input_;
    Clock clock_{0};
    bool damaged_ = false; // what one device believes of another may be wrong: no copy will be the same
    std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create(clock_));
    std::unique_ptr<Machine> machine_ = std::make_unique<Machine>(*loop_, *memory_);
};

} // namespace
} // namespace strata::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    strata::fuzz::Guest(strata::fuzz::Input(data, size)).run();
    return 0;
}
