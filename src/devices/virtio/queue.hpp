// The split virtqueue: how a driver hands buffers to a device and gets them back.
// Virtual I/O Device (VIRTIO) 1.2, section 2.7.
#pragma once

#include "base/state_visitor.hpp"
#include "devices/virtio/chain.hpp"
#include "memory/guest_memory.hpp"

#include <cstdint>
#include <optional>

namespace strata::devices::virtio {

// Everything in the rings is the guest's, and another vCPU may change it while it is read. A queue whose
// rings make no sense is broken until it is reset: it gives no more chains.
class Queue {
public:
    struct Rings {
        memory::GuestPhysical descriptors = 0; // the driver writes it
        memory::GuestPhysical available = 0;   // the driver writes it
        memory::GuestPhysical used = 0;        // the device writes it
    };

    // What was negotiated that changes the format.
    struct Format {
        bool indirect = false;
        bool event_index = false;
    };

    Queue(memory::GuestMemory& memory, std::uint16_t max_size)
        : memory_(memory), max_size_(max_size), size_(max_size) {}

    // Set up by the transport while the queue is not enabled.
    [[nodiscard]] std::uint16_t max_size() const { return max_size_; }

    [[nodiscard]] std::uint16_t size() const { return size_; }

    void set_size(std::uint16_t size) { size_ = size; }

    [[nodiscard]] Rings& rings() { return rings_; }

    [[nodiscard]] bool enabled() const { return enabled_; }

    // Checks size and rings once; a queue that cannot be is broken.
    void enable(Format format);
    void reset();

    [[nodiscard]] bool broken() const { return broken_; }

    // The next chain, if there is one. When there is none the driver is asked to notify of the next.
    [[nodiscard]] std::optional<Chain> pop();

    // Gives back the chain that was popped last and not pushed: the next pop() finds it again.
    void undo_pop() {
        --next_available_;
        --in_flight_;
    }

    // Hands a chain back to the driver, with as many bytes as were written to it.
    void push(const Chain& chain) { push(chain.head(), chain.written()); }

    void push(std::uint16_t head, std::uint32_t written);
    // True if the driver wants an interrupt for what was pushed since the last call.
    [[nodiscard]] bool take_interrupt();

    // For saving and restoring; the transport enables the queue again after loading.
    void visit(StateVisitor& visitor);

private:
    struct Descriptor {
        std::uint64_t address;
        std::uint32_t length;
        std::uint16_t flags;
        std::uint16_t next;
    };

    static Descriptor load_descriptor(const std::byte* table, std::uint16_t index);
    bool map_rings();
    [[nodiscard]] std::byte* ring(memory::GuestPhysical address, std::uint64_t size,
                                  std::uint64_t alignment) const;
    [[nodiscard]] bool any_available();
    [[nodiscard]] bool read_chain(std::uint16_t head, Chain& chain);
    [[nodiscard]] bool read_table(const std::byte* table, std::uint32_t entries, std::uint16_t first,
                                  bool indirect, Chain& chain);
    [[nodiscard]] bool read_indirect(const Descriptor& descriptor, Chain& chain);
    [[nodiscard]] bool add_buffer(const Descriptor& descriptor, Chain& chain) const;

    void break_queue() { broken_ = true; }

    memory::GuestMemory& memory_;
    std::uint16_t max_size_;
    std::uint16_t size_;
    Rings rings_;
    Format format_;
    bool enabled_ = false;
    bool broken_ = false;
    std::uint16_t next_available_ = 0; // free-running, as the rings' own indexes
    std::uint16_t next_used_ = 0;
    std::uint16_t in_flight_ = 0;         // popped, not pushed
    std::uint16_t interrupt_checked_ = 0; // next_used_ at the last take_interrupt()

    // The host's view of the rings, while enabled.
    std::byte* descriptors_ = nullptr;
    std::byte* available_ = nullptr;
    std::byte* used_ = nullptr;
};

} // namespace strata::devices::virtio
