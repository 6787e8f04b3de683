// A virtio device on PCI: the registers of a modern device behind one BAR, and an MSI-X vector a queue.
// VIRTIO 1.2, section 4.1.
#pragma once

#include "devices/pci/function.hpp"
#include "devices/virtio/device.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace strata::devices::virtio {

class PciTransport final : public pci::Function, private Transport {
public:
    PciTransport(const Environment& environment, std::unique_ptr<VirtioDevice> device);

    [[nodiscard]] std::string_view name() const override { return device_->name(); }

    [[nodiscard]] VirtioDevice& device() const { return *device_; }

    // Writes there say only that a queue has something to do: they may be carried out later.
    struct Doorbells {
        unsigned region;
        std::uint64_t offset, stride; // in the region, in bytes
        std::size_t count;
    };

    [[nodiscard]] Doorbells doorbells() const;

    void visit(StateVisitor& visitor) override;

private:
    // pci::Function
    std::uint64_t read_bar(unsigned region, std::uint64_t offset, unsigned size) override;
    void write_bar(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void on_reset() override;
    void before_config_read(unsigned offset, unsigned size) override;
    void after_config_write(unsigned offset, unsigned size) override;

    // Transport
    void queue_interrupt(unsigned queue) override;
    void config_interrupt() override;

    [[nodiscard]] bool may_access_memory() const override { return bus_master(); }

    void interrupt(std::uint8_t cause, std::uint16_t vector);

    [[nodiscard]] std::uint64_t read_common(std::uint64_t offset, unsigned size);
    [[nodiscard]] std::uint64_t read_queue(std::uint64_t offset);
    void write_common(std::uint64_t offset, unsigned size, std::uint64_t value);
    void write_queue(std::uint64_t offset, std::uint64_t value);
    [[nodiscard]] std::uint8_t status() const;
    void write_status(std::uint8_t value);
    void reset_device();
    [[nodiscard]] std::uint8_t read_isr();
    [[nodiscard]] std::uint16_t usable_vector(std::uint64_t value) const;
    [[nodiscard]] Queue* selected_queue();

    void add_capabilities();

    // The window through configuration space (section 4.1.4.9); empty if the driver set it up wrongly.
    struct Window {
        std::uint64_t offset;
        unsigned size;
    };

    [[nodiscard]] std::optional<Window> window() const;
    [[nodiscard]] bool touches_window(unsigned offset, unsigned size) const;

    std::unique_ptr<VirtioDevice> device_;
    unsigned window_ = 0; // where its capability is

    std::uint8_t status_ = 0;
    std::uint8_t isr_ = 0;
    std::uint32_t device_feature_select_ = 0, driver_feature_select_ = 0;
    std::uint64_t driver_features_ = 0;
    std::uint16_t config_vector_, queue_select_ = 0;
    std::vector<std::uint16_t> queue_vectors_;
};

} // namespace strata::devices::virtio
