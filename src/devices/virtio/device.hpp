// What all virtio devices have in common, whatever bus they are on: features, status, queues, configuration.
// Virtual I/O Device (VIRTIO) 1.2, chapters 2 and 3.
#pragma once

#include "base/bits.hpp"
#include "base/lifetime.hpp"
#include "devices/device.hpp"
#include "devices/info.hpp"
#include "devices/virtio/queue.hpp"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace strata::devices::virtio {

// Section 6: feature bits of every device.
namespace feature {
inline constexpr std::uint64_t indirect_descriptors = bit(28);
inline constexpr std::uint64_t event_index = bit(29);
inline constexpr std::uint64_t version_1 = bit(32);
} // namespace feature

// The bus that a device is on, as the device sees it.
class Transport {
public:
    virtual ~Transport() = default;
    virtual void queue_interrupt(unsigned queue) = 0;
    // The configuration space or the status has changed.
    virtual void config_interrupt() = 0;
    // False while the driver forbids the device to reach memory on its own.
    [[nodiscard]] virtual bool may_access_memory() const = 0;
};

// Section 5: device types.
enum class Type : std::uint16_t { network = 1, block = 2, console = 3, entropy = 4 };

// Thread rules: all members are called under the device lock. A device never trusts its driver: whatever the
// driver does, the worst is that the device stops and asks for a reset.
class VirtioDevice {
public:
    struct Description {
        Type type;
        DeviceInfo info;
        std::uint64_t features = 0; // beyond those of every device
        std::vector<std::uint16_t> queue_sizes;
    };

    VirtioDevice(const Environment& environment, Description description);
    virtual ~VirtioDevice() = default;
    VirtioDevice(const VirtioDevice&) = delete;
    VirtioDevice& operator=(const VirtioDevice&) = delete;

    [[nodiscard]] Type type() const { return description_.type; }

    [[nodiscard]] std::string_view name() const { return description_.info.name; }

    [[nodiscard]] std::uint64_t offered_features() const;

    [[nodiscard]] std::span<Queue> queues() { return queues_; }

    [[nodiscard]] std::span<const Queue> queues() const { return queues_; }

    [[nodiscard]] bool needs_reset() const { return needs_reset_; }

    [[nodiscard]] std::uint8_t config_generation() const { return config_generation_; }

    // The transport's side.
    void attach(Transport& transport) { transport_ = &transport; }

    // FEATURES_OK: false if the device cannot work with this choice.
    [[nodiscard]] bool accept_features(std::uint64_t features);
    void enable_queue(unsigned index);
    void activate(); // DRIVER_OK
    void reset();
    void notify(unsigned index); // any index may come
    // Bytes past the end read as zeros.
    [[nodiscard]] std::uint64_t read_config(std::uint64_t offset, unsigned size);
    virtual void write_config(std::uint64_t offset, unsigned size, std::uint64_t value);
    void visit(StateVisitor& visitor);

protected:
    // The device-specific configuration space, as the driver sees it now.
    [[nodiscard]] virtual std::vector<std::byte> config() const { return {}; }

    // False if these features, a subset of the offered, exclude each other.
    [[nodiscard]] virtual bool consistent(std::uint64_t /*features*/) const { return true; }

    // The driver made buffers available in the queue. By default every chain goes to handle().
    virtual void available(unsigned index) { serve(index); }

    virtual void handle(unsigned /*index*/, Chain /*chain*/) {}

    // Everything of the device's own goes to its initial state; chains not handed back are forgotten.
    virtual void stopped() {}

    virtual void visit_state(StateVisitor& /*visitor*/) {}

    [[nodiscard]] bool active() const { return active_ && !needs_reset_; }

    [[nodiscard]] bool negotiated(std::uint64_t feature) const { return (features_ & feature) == feature; }

    [[nodiscard]] Queue& queue(unsigned index) { return queues_[index]; }

    [[nodiscard]] const Environment& environment() const { return environment_; }

    [[nodiscard]] const Lifetime& lifetime() const { return lifetime_; }

    // Handles at most a queue's worth of chains, and the rest from the event loop, so that a driver that
    // never stops adding some cannot hold the device lock.
    void serve(unsigned index);
    // The queue's next chain; a broken queue breaks the device.
    [[nodiscard]] std::optional<Chain> pop(unsigned index);

    void push(unsigned index, const Chain& chain) { push(index, chain.head(), chain.written()); }

    void push(unsigned index, std::uint16_t head, std::uint32_t written);
    void signal(unsigned index);

    void complete(unsigned index, const Chain& chain) {
        push(index, chain);
        signal(index);
    }

    void config_changed();
    // Section 2.1.2: the device is in a state that only a reset repairs.
    void fail();

private:
    void notify_all();
    void resume_loaded(StateVisitor& visitor);

    Environment environment_;
    Description description_;
    std::vector<Queue> queues_;
    std::vector<bool> continued_; // by queue: serve() will go on from the event loop
    Transport* transport_ = nullptr;
    std::uint64_t features_ = 0;
    bool active_ = false;
    bool needs_reset_ = false;
    std::uint8_t config_generation_ = 0;
    Lifetime lifetime_;
};

// The bytes of a configuration structure whose integers are little-endian.
template <class T>
[[nodiscard]] std::vector<std::byte> config_bytes(const T& config) {
    const auto bytes = std::as_bytes(std::span(&config, 1));
    return {bytes.begin(), bytes.end()};
}

} // namespace strata::devices::virtio
