#include "devices/virtio/queue.hpp"

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "memory/racing_bytes.hpp"

#include <atomic>
#include <bit>
#include <limits>

namespace strata::devices::virtio {

namespace {

// Section 2.7.5: descriptor flags.
constexpr std::uint16_t descriptor_next = 1;
constexpr std::uint16_t descriptor_write = 2;
constexpr std::uint16_t descriptor_indirect = 4;
constexpr std::uint64_t descriptor_size = 16;

// Section 2.7.6, 2.7.8: struct virtq_avail and struct virtq_used are flags, idx, ring[size], and the event
// index.
constexpr std::uint64_t flags_at = 0;
constexpr std::uint64_t index_at = 2;
constexpr std::uint64_t ring_at = 4;
constexpr std::uint64_t available_entry = 2;
constexpr std::uint64_t used_entry = 8;
constexpr std::uint16_t no_interrupt = 1;

// The longest chain taken. The specification allows as many descriptors as the queue has; drivers put longer
// ones into indirect tables, so both are allowed up to the larger of this and the queue.
constexpr std::uint32_t max_chain = 1024;

// The rings are shared with running vCPUs, and aligned.
template <class T>
T load_shared(const std::byte* at, std::memory_order order) {
    auto& word = *const_cast<T*>(reinterpret_cast<const T*>(at));
    const T value = std::atomic_ref<T>(word).load(order);
    return std::endian::native == std::endian::little ? value : byte_swap(value);
}

template <class T>
void store_shared(std::byte* at, T value, std::memory_order order) {
    auto& word = *reinterpret_cast<T*>(at);
    std::atomic_ref<T>(word).store(std::endian::native == std::endian::little ? value : byte_swap(value),
                                   order);
}

} // namespace

void Queue::reset() {
    size_ = max_size_;
    rings_ = {};
    enabled_ = broken_ = false;
    next_available_ = next_used_ = in_flight_ = interrupt_checked_ = 0;
    descriptors_ = available_ = used_ = nullptr;
}

void Queue::enable(Format format) {
    format_ = format;
    enabled_ = true;
    if (size_ == 0 || size_ > max_size_ || !std::has_single_bit(size_) || !map_rings()) {
        break_queue();
    }
}

bool Queue::map_rings() {
    descriptors_ = ring(rings_.descriptors, descriptor_size * size_, 16);
    available_ = ring(rings_.available, ring_at + available_entry * size_ + 2, 2);
    used_ = ring(rings_.used, ring_at + used_entry * size_ + 2, 4);
    const auto* slot = memory_.find(rings_.used);
    return descriptors_ != nullptr && available_ != nullptr && used_ != nullptr && slot->writable;
}

std::byte* Queue::ring(memory::GuestPhysical address, std::uint64_t size, std::uint64_t alignment) const {
    return address % alignment == 0 ? memory_.host(address, size) : nullptr;
}

bool Queue::any_available() {
    // Acquire: the ring entry and the descriptors were written before the index.
    const auto index = load_shared<std::uint16_t>(available_ + index_at, std::memory_order_acquire);
    const auto pending = static_cast<std::uint16_t>(index - next_available_);
    if (pending > size_) {
        break_queue();
        return false;
    }
    return pending != 0;
}

std::optional<Chain> Queue::pop() {
    if (!enabled_ || broken_) {
        return std::nullopt;
    }
    if (!any_available()) {
        if (broken_ || !format_.event_index) {
            return std::nullopt;
        }
        // Section 2.7.10: ask for a notification of the next chain, then look once more, since the driver may
        // have made it available before it could see the request.
        const auto event_at = ring_at + used_entry * size_;
        store_shared(used_ + event_at, next_available_, std::memory_order_relaxed);
        memory_.written(rings_.used + event_at, 2);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (!any_available()) {
            return std::nullopt;
        }
    }
    const auto entry = available_ + ring_at + available_entry * (next_available_ % size_);
    const auto head = load_shared<std::uint16_t>(entry, std::memory_order_relaxed);
    Chain chain(memory_, head);
    // A driver has no more chains than descriptors: one that lends a chain twice is stopped here, before the
    // requests in flight fill the host's memory.
    if (in_flight_ == size_ || !read_chain(head, chain)) {
        break_queue();
        return std::nullopt;
    }
    ++next_available_;
    ++in_flight_;
    return chain;
}

Queue::Descriptor Queue::load_descriptor(const std::byte* table, std::uint16_t index) {
    std::byte copy[descriptor_size];
    memory::copy_from_guest(copy, table + descriptor_size * index, descriptor_size);
    // The guest may write the table meanwhile: what was copied is not read again.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return {load_le<std::uint64_t>(copy), load_le<std::uint32_t>(copy + 8), load_le<std::uint16_t>(copy + 12),
            load_le<std::uint16_t>(copy + 14)};
}

bool Queue::read_chain(std::uint16_t head, Chain& chain) {
    return read_table(descriptors_, size_, head, false, chain);
}

bool Queue::read_table(const std::byte* table, std::uint32_t entries, std::uint16_t first, bool indirect,
                       Chain& chain) {
    std::uint16_t index = first;
    // A chain that visits more descriptors than there are is a loop.
    for (std::uint32_t visited = 0; visited < entries; ++visited) {
        if (index >= entries) {
            return false;
        }
        const auto descriptor = load_descriptor(table, index);
        if (descriptor.flags & descriptor_indirect) {
            // Section 2.7.5.3: a table ends its chain, and is not nested.
            return !indirect && !(descriptor.flags & descriptor_next) && read_indirect(descriptor, chain);
        }
        if (!add_buffer(descriptor, chain)) {
            return false;
        }
        if (!(descriptor.flags & descriptor_next)) {
            return true;
        }
        index = descriptor.next;
    }
    return false;
}

bool Queue::read_indirect(const Descriptor& descriptor, Chain& chain) {
    const std::uint32_t entries = descriptor.length / descriptor_size;
    if (!format_.indirect || entries == 0 || descriptor.length % descriptor_size != 0 ||
        entries > std::max<std::uint32_t>(max_chain, size_)) {
        return false;
    }
    const std::byte* table = memory_.host(descriptor.address, descriptor.length);
    return table != nullptr && read_table(table, entries, 0, true, chain);
}

bool Queue::add_buffer(const Descriptor& descriptor, Chain& chain) const {
    const bool write = (descriptor.flags & descriptor_write) != 0;
    if (!write && chain.writable() > 0) {
        return false; // section 2.7.4.2: what the device reads comes first
    }
    if (descriptor.length == 0) {
        return true;
    }
    const auto* slot = memory_.find(descriptor.address);
    std::byte* host = memory_.host(descriptor.address, descriptor.length);
    const std::uint64_t total = chain.readable() + chain.writable() + std::uint64_t{descriptor.length};
    if (host == nullptr || (write && !slot->writable) || total > std::numeric_limits<std::uint32_t>::max()) {
        return false;
    }
    auto& stream = write ? chain.writable_ : chain.readable_;
    stream.add({descriptor.address, {host, descriptor.length}});
    return true;
}

void Queue::push(std::uint16_t head, std::uint32_t written) {
    if (!enabled_ || broken_) {
        return;
    }
    const auto at = ring_at + used_entry * (next_used_ % size_);
    store_shared<std::uint32_t>(used_ + at, head, std::memory_order_relaxed);
    store_shared<std::uint32_t>(used_ + at + 4, written, std::memory_order_relaxed);
    memory_.written(rings_.used + at, used_entry);
    ++next_used_;
    --in_flight_;
    // Release: whoever sees the index sees the entry and the data.
    store_shared(used_ + index_at, next_used_, std::memory_order_release);
    memory_.written(rings_.used + index_at, 2);
}

bool Queue::take_interrupt() {
    if (!enabled_ || broken_ || next_used_ == interrupt_checked_) {
        return false;
    }
    const auto before = std::exchange(interrupt_checked_, next_used_);
    // The driver's wish is read after the used index is visible (section 2.7.7.2).
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!format_.event_index) {
        const auto flags = load_shared<std::uint16_t>(available_ + flags_at, std::memory_order_relaxed);
        return !(flags & no_interrupt);
    }
    // Section 2.7.10: an interrupt if the entry that the driver named is among those pushed.
    const auto event_at = ring_at + available_entry * size_;
    const auto event = load_shared<std::uint16_t>(available_ + event_at, std::memory_order_relaxed);
    return static_cast<std::uint16_t>(next_used_ - event - 1) <
           static_cast<std::uint16_t>(next_used_ - before);
}

void Queue::visit(StateVisitor& visitor) {
    visitor.field("size", size_);
    visitor.field("descriptors", rings_.descriptors);
    visitor.field("available", rings_.available);
    visitor.field("used", rings_.used);
    visitor.field("enabled", enabled_);
    visitor.field("broken", broken_);
    visitor.field("next_available", next_available_);
    visitor.field("next_used", next_used_);
    visitor.field("interrupt_checked", interrupt_checked_);
}

} // namespace strata::devices::virtio
