#include "devices/virtio/pci_transport.hpp"

#include <algorithm>
#include <array>

namespace strata::devices::virtio {

namespace {

// Section 4.1.2: identity.
constexpr std::uint16_t vendor_id = 0x1AF4;
constexpr std::uint16_t first_device_id = 0x1040; // plus the device type
constexpr std::uint8_t modern_revision = 1;

// The BARs, and what is where in the first.
constexpr unsigned register_bar = 0, msix_bar = 1;
constexpr std::uint64_t bar_size = 0x4000, part_size = 0x1000;

enum Part : std::uint64_t { common, isr, device_config, notification };

constexpr std::uint32_t notify_multiplier = 4;

// Section 4.1.4: capabilities. Offsets are of the capability.
constexpr std::uint8_t vendor_capability = 0x09;
enum class CapabilityType : std::uint8_t { common = 1, notification = 2, isr = 3, device = 4, window = 5 };
constexpr unsigned capability_bar = 4, capability_offset = 8, capability_length = 12, capability_data = 16;

// Section 4.1.4.3: struct virtio_pci_common_cfg.
enum Register : std::uint64_t {
    device_feature_select = 0x00,
    device_feature = 0x04,
    driver_feature_select = 0x08,
    driver_feature = 0x0C,
    config_msix_vector = 0x10,
    num_queues = 0x12,
    device_status = 0x14,
    config_generation = 0x15,
    queue_select = 0x16,
    queue_size = 0x18,
    queue_msix_vector = 0x1A,
    queue_enable = 0x1C,
    queue_notify_off = 0x1E,
    queue_desc = 0x20,
    queue_driver = 0x28,
    queue_device = 0x30,
    common_end = 0x38,
};

// Section 4.1.3.1: registers are accessed whole, 64-bit ones as halves.
unsigned width_of(std::uint64_t offset) {
    if (offset >= queue_desc || offset < config_msix_vector) {
        return 4;
    }
    return offset == device_status || offset == config_generation ? 1 : 2;
}

// Section 2.1: device status.
constexpr std::uint8_t status_driver_ok = 4, status_features_ok = 8, status_needs_reset = 64;

constexpr std::uint16_t no_vector = 0xFFFF;
constexpr std::uint8_t isr_queue = 1, isr_config = 2;

// PCI Code and ID Assignment Specification 1.11.
std::uint32_t class_code(Type type) {
    switch (type) {
    case Type::network: return 0x02'00'00;
    case Type::block: return 0x01'80'00;
    case Type::console: return 0x07'80'00;
    case Type::entropy: break;
    }
    return 0xFF'00'00;
}

pci::Identity identity_of(const VirtioDevice& device) {
    const auto id = static_cast<std::uint16_t>(first_device_id + static_cast<unsigned>(device.type()));
    return {.vendor = vendor_id,
            .device = id,
            .class_code = class_code(device.type()),
            .revision = modern_revision,
            .subsystem_vendor = vendor_id,
            .subsystem = id,
            .interrupt_pin = 1};
}

std::uint32_t half(std::uint64_t value, std::uint64_t select) {
    return select < 2 ? static_cast<std::uint32_t>(value >> (select * 32)) : 0;
}

void set_half(std::uint64_t& value, std::uint64_t select, std::uint64_t part) {
    if (select < 2) {
        const auto shift = select * 32;
        value = (value & ~(std::uint64_t{0xFFFF'FFFF} << shift)) | ((part & 0xFFFF'FFFF) << shift);
    }
}

// The ring that one of the three address registers, or its upper half, belongs to.
memory::GuestPhysical& ring_at(Queue& queue, std::uint64_t offset) {
    auto& rings = queue.rings();
    return offset < queue_driver ? rings.descriptors : offset < queue_device ? rings.available : rings.used;
}

} // namespace

PciTransport::PciTransport(const Environment& environment, std::unique_ptr<VirtioDevice> device)
    : Function(environment, identity_of(*device)), device_(std::move(device)), config_vector_(no_vector),
      queue_vectors_(device_->queues().size(), no_vector) {
    add_bar(register_bar, pci::BarKind::memory32, bar_size, "virtio", 1, 4);
    add_msix(msix_bar, static_cast<unsigned>(queue_vectors_.size()) + 1);
    add_capabilities();
    device_->attach(*this);
}

void PciTransport::add_capabilities() {
    struct Row {
        CapabilityType type;
        Part part;
        unsigned extra; // bytes after the common part of the capability
    };

    constexpr std::array rows{Row{CapabilityType::common, common, 0}, Row{CapabilityType::isr, isr, 0},
                              Row{CapabilityType::device, device_config, 0},
                              Row{CapabilityType::notification, notification, 4},
                              Row{CapabilityType::window, common, 4}};
    constexpr unsigned header = 2; // what add_capability() writes
    for (const Row& row : rows) {
        std::vector<std::uint8_t> body(capability_data - header + row.extra), writable;
        body[0] = static_cast<std::uint8_t>(body.size() + header);
        body[1] = static_cast<std::uint8_t>(row.type);
        body[capability_bar - header] = register_bar;
        const bool is_window = row.type == CapabilityType::window;
        if (is_window) {
            writable.assign(body.size(), 0);
            writable[capability_bar - header] = 0xFF;
            std::fill(writable.begin() + capability_offset - header, writable.end(), std::uint8_t{0xFF});
        } else {
            store_le(&body[capability_offset - header], static_cast<std::uint32_t>(row.part * part_size));
            store_le(&body[capability_length - header], static_cast<std::uint32_t>(part_size));
        }
        if (row.type == CapabilityType::notification) {
            store_le(&body[capability_data - header], notify_multiplier);
        }
        const auto at = add_capability(vendor_capability, body, writable);
        window_ = is_window ? at : window_;
    }
}

PciTransport::Doorbells PciTransport::doorbells() const {
    return {.region = 0,
            .offset = notification * part_size,
            .stride = notify_multiplier,
            .count = device_->queues().size()};
}

std::uint64_t PciTransport::read_bar(unsigned /*region*/, std::uint64_t offset, unsigned size) {
    const auto within = offset % part_size;
    switch (offset / part_size) {
    case common: return read_common(within, size);
    case isr: return within == 0 ? read_isr() : 0;
    case device_config: return device_->read_config(within, size);
    default: return 0;
    }
}

void PciTransport::write_bar(unsigned /*region*/, std::uint64_t offset, unsigned size, std::uint64_t value) {
    const auto within = offset % part_size;
    switch (offset / part_size) {
    case common: write_common(within, size, value); break;
    case device_config: device_->write_config(within, size, value); break;
    case notification: device_->notify(static_cast<unsigned>(within / notify_multiplier)); break;
    default: break;
    }
}

std::uint64_t PciTransport::read_common(std::uint64_t offset, unsigned size) {
    if (offset >= common_end || size != width_of(offset)) {
        return 0;
    }
    switch (offset) {
    case device_feature_select: return device_feature_select_;
    case device_feature: return half(device_->offered_features(), device_feature_select_);
    case driver_feature_select: return driver_feature_select_;
    case driver_feature: return half(driver_features_, driver_feature_select_);
    case config_msix_vector: return config_vector_;
    case num_queues: return queue_vectors_.size();
    case device_status: return status();
    case config_generation: return device_->config_generation();
    case queue_select: return queue_select_;
    default: return read_queue(offset);
    }
}

std::uint64_t PciTransport::read_queue(std::uint64_t offset) {
    Queue* queue = selected_queue();
    if (queue == nullptr) {
        return 0; // section 4.1.4.3.1: a queue of size 0 does not exist
    }
    switch (offset) {
    case queue_size: return queue->size();
    case queue_msix_vector: return queue_vectors_[queue_select_];
    case queue_enable: return queue->enabled();
    case queue_notify_off: return queue_select_;
    default: return half(ring_at(*queue, offset), offset % 8 / 4);
    }
}

void PciTransport::write_common(std::uint64_t offset, unsigned size, std::uint64_t value) {
    if (offset >= common_end || size != width_of(offset)) {
        return;
    }
    switch (offset) {
    case device_feature_select: device_feature_select_ = static_cast<std::uint32_t>(value); break;
    case driver_feature_select: driver_feature_select_ = static_cast<std::uint32_t>(value); break;
    case driver_feature:
        if (!(status_ & status_features_ok)) {
            set_half(driver_features_, driver_feature_select_, value);
        }
        break;
    case config_msix_vector: config_vector_ = usable_vector(value); break;
    case device_status: write_status(static_cast<std::uint8_t>(value)); break;
    case queue_select: queue_select_ = static_cast<std::uint16_t>(value); break;
    default: write_queue(offset, value); break;
    }
}

void PciTransport::write_queue(std::uint64_t offset, std::uint64_t value) {
    Queue* queue = selected_queue();
    if (queue == nullptr) {
        return;
    }
    if (offset == queue_msix_vector) {
        queue_vectors_[queue_select_] = usable_vector(value);
    } else if (queue->enabled()) {
        return; // section 4.1.4.3.2: set up first, then enabled
    } else if (offset == queue_size) {
        queue->set_size(static_cast<std::uint16_t>(value));
    } else if (offset == queue_enable) {
        if (value == 1 && (status_ & status_features_ok)) {
            device_->enable_queue(queue_select_);
        }
    } else if (offset >= queue_desc) {
        set_half(ring_at(*queue, offset), offset % 8 / 4, value);
    }
}

Queue* PciTransport::selected_queue() {
    return queue_select_ < queue_vectors_.size() ? &device_->queues()[queue_select_] : nullptr;
}

std::uint16_t PciTransport::usable_vector(std::uint64_t value) const {
    return value < msix_vectors() ? static_cast<std::uint16_t>(value) : no_vector;
}

std::uint8_t PciTransport::status() const {
    return device_->needs_reset() ? status_ | status_needs_reset : status_;
}

void PciTransport::write_status(std::uint8_t value) {
    if (value == 0) {
        reset_device();
        return;
    }
    auto added = static_cast<std::uint8_t>(value & ~status_ & ~status_needs_reset);
    if ((added & status_features_ok) && !device_->accept_features(driver_features_)) {
        added &= static_cast<std::uint8_t>(~status_features_ok); // section 3.1.1: how a device declines
    }
    status_ |= added;
    if ((added & status_driver_ok) && (status_ & status_features_ok)) {
        device_->activate();
    }
}

void PciTransport::reset_device() {
    device_->reset();
    status_ = isr_ = 0;
    device_feature_select_ = driver_feature_select_ = 0;
    driver_features_ = 0;
    queue_select_ = 0;
    config_vector_ = no_vector;
    std::ranges::fill(queue_vectors_, no_vector);
    set_intx(false);
}

void PciTransport::on_reset() { reset_device(); }

std::uint8_t PciTransport::read_isr() {
    const auto cause = std::exchange(isr_, std::uint8_t{0});
    set_intx(false);
    return cause;
}

void PciTransport::queue_interrupt(unsigned queue) { interrupt(isr_queue, queue_vectors_[queue]); }

void PciTransport::config_interrupt() { interrupt(isr_config, config_vector_); }

void PciTransport::interrupt(std::uint8_t cause, std::uint16_t vector) {
    if (msix_enabled()) {
        if (vector != no_vector) {
            notify(vector);
        }
        return;
    }
    isr_ |= cause;
    set_intx(true);
}

std::optional<PciTransport::Window> PciTransport::window() const {
    const auto bar = config_.get<std::uint8_t>(window_ + capability_bar);
    const auto offset = config_.get<std::uint32_t>(window_ + capability_offset);
    const auto size = config_.get<std::uint32_t>(window_ + capability_length);
    if (bar != register_bar || (size != 1 && size != 2 && size != 4) || offset % size != 0 ||
        offset > bar_size - size) {
        return std::nullopt;
    }
    return Window{offset, size};
}

bool PciTransport::touches_window(unsigned offset, unsigned size) const {
    const auto data = window_ + capability_data;
    return offset + size > data && offset < data + 4;
}

void PciTransport::before_config_read(unsigned offset, unsigned size) {
    if (!touches_window(offset, size)) {
        return;
    }
    if (const auto at = window()) {
        config_.set(window_ + capability_data,
                    static_cast<std::uint32_t>(read_bar(register_bar, at->offset, at->size)));
    }
}

void PciTransport::after_config_write(unsigned offset, unsigned size) {
    if (!touches_window(offset, size)) {
        return;
    }
    if (const auto at = window()) {
        write_bar(register_bar, at->offset, at->size,
                  config_.get<std::uint32_t>(window_ + capability_data) &
                      (~std::uint32_t{0} >> (32 - at->size * 8)));
    }
}

void PciTransport::visit(StateVisitor& visitor) {
    Function::visit(visitor);
    visitor.field("status", status_);
    visitor.field("isr", isr_);
    visitor.field("device_feature_select", device_feature_select_);
    visitor.field("driver_feature_select", driver_feature_select_);
    visitor.field("driver_features", driver_features_);
    visitor.field("config_vector", config_vector_);
    visitor.field("queue_select", queue_select_);
    for (auto& vector : queue_vectors_) {
        visitor.field("queue_vector", vector);
    }
    device_->visit(visitor);
}

} // namespace strata::devices::virtio
