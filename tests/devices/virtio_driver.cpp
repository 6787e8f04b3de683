#include <gtest/gtest.h>

#include "base/bits.hpp"
#include "virtio_driver.hpp"

namespace strata::devices::virtio {

GuestPhysical Arena::allocate(std::uint64_t size) {
    const auto address = next_;
    next_ = align_up(next_ + size, 16);
    EXPECT_LE(next_, TestMachine::ram_size);
    return address;
}

GuestPhysical Arena::put(std::string_view bytes) {
    const auto address = allocate(bytes.size());
    EXPECT_TRUE(memory_.write(address, bytes.data(), bytes.size()));
    return address;
}

std::string Arena::get(GuestPhysical address, std::size_t size) const {
    std::string bytes(size, '\0');
    EXPECT_TRUE(memory_.read(address, bytes.data(), size));
    return bytes;
}

DriverQueue::DriverQueue(Arena& arena, std::uint16_t size) : arena_(arena), size_(size) {
    // A driver gives the device rings of zeros.
    rings_.descriptors = arena.put(std::string(16U * size, '\0'));
    rings_.available = arena.put(std::string(6U + 2U * size, '\0'));
    rings_.used = arena.put(std::string(6U + 8U * size, '\0'));
}

void DriverQueue::set(std::uint16_t index, const Descriptor& descriptor) {
    arena_.store(rings_.descriptors + 16U * index, descriptor);
}

std::uint16_t DriverQueue::chain(std::vector<Descriptor> buffers) {
    const auto head = next_descriptor_;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        const auto index = next_descriptor_;
        next_descriptor_ = static_cast<std::uint16_t>((next_descriptor_ + 1) % size_);
        if (i + 1 < buffers.size()) {
            buffers[i].flags |= Descriptor::next_flag;
            buffers[i].next = next_descriptor_;
        }
        set(index, buffers[i]);
    }
    return head;
}

std::uint16_t DriverQueue::indirect(std::vector<Descriptor> buffers) {
    const auto table = arena_.allocate(16 * buffers.size());
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        if (i + 1 < buffers.size()) {
            buffers[i].flags |= Descriptor::next_flag;
            buffers[i].next = static_cast<std::uint16_t>(i + 1);
        }
        arena_.store(table + 16 * i, buffers[i]);
    }
    return chain({{table, static_cast<std::uint32_t>(16 * buffers.size()), Descriptor::indirect_flag, 0}});
}

void DriverQueue::offer(std::uint16_t head) {
    arena_.store(rings_.available + 4 + 2U * (available_ % size_), head);
    set_available_index(++available_);
}

void DriverQueue::set_available_index(std::uint16_t index) { arena_.store(rings_.available + 2, index); }

std::vector<Used> DriverQueue::take_used() {
    std::vector<Used> taken;
    for (const auto index = arena_.load<std::uint16_t>(rings_.used + 2); used_ != index; ++used_) {
        taken.push_back(arena_.load<Used>(rings_.used + 4 + 8U * (used_ % size_)));
    }
    return taken;
}

void DriverQueue::suppress_interrupts(bool suppress) {
    arena_.store(rings_.available, static_cast<std::uint16_t>(suppress));
}

void DriverQueue::set_used_event(std::uint16_t index) {
    arena_.store(rings_.available + 4 + 2U * size_, index);
}

std::uint16_t DriverQueue::available_event() const {
    return arena_.load<std::uint16_t>(rings_.used + 4 + 8U * size_);
}

Driver::Driver(TestMachine& machine, VirtioDevice& device, std::uint64_t features)
    : arena(*machine.memory), machine_(machine), device_(device) {
    device.attach(transport);
    EXPECT_TRUE(device.accept_features(features));
    for (Queue& queue : device.queues()) {
        queues_.emplace_back(arena, queue.max_size());
        queue.rings() = queues_.back().rings();
    }
    for (unsigned index = 0; index < queues_.size(); ++index) {
        device.enable_queue(index);
    }
    device.activate();
}

std::uint32_t Driver::request(unsigned index, std::vector<Descriptor> buffers) {
    queue(index).submit(std::move(buffers));
    device_.notify(index);
    std::vector<Used> used;
    EXPECT_TRUE(machine_.run_until([&] {
        used = queue(index).take_used();
        return !used.empty();
    }));
    return used.empty() ? 0 : used.front().written;
}

} // namespace strata::devices::virtio
