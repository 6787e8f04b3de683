#include "devices/virtio/device.hpp"

#include "base/bytes.hpp"

#include <array>

namespace strata::devices::virtio {

static_assert(std::endian::native == std::endian::little,
              "virtio structures are laid over guest memory as they are");

VirtioDevice::VirtioDevice(const Environment& environment, Description description)
    : environment_(environment), description_(std::move(description)),
      continued_(description_.queue_sizes.size()) {
    queues_.reserve(description_.queue_sizes.size());
    for (const auto size : description_.queue_sizes) {
        queues_.emplace_back(environment.memory, size);
    }
}

std::uint64_t VirtioDevice::offered_features() const {
    return description_.features | feature::indirect_descriptors | feature::event_index | feature::version_1;
}

bool VirtioDevice::accept_features(std::uint64_t features) {
    if ((features & ~offered_features()) != 0 || !(features & feature::version_1) || !consistent(features)) {
        return false;
    }
    features_ = features;
    return true;
}

void VirtioDevice::enable_queue(unsigned index) {
    queues_[index].enable({.indirect = negotiated(feature::indirect_descriptors),
                           .event_index = negotiated(feature::event_index)});
    if (queues_[index].broken()) {
        fail();
    }
}

void VirtioDevice::activate() {
    active_ = true;
    notify_all();
}

void VirtioDevice::notify_all() {
    for (unsigned index = 0; index < queues_.size(); ++index) {
        notify(index);
    }
}

void VirtioDevice::reset() {
    active_ = needs_reset_ = false;
    stopped();
    for (Queue& queue : queues_) {
        queue.reset();
    }
    features_ = 0;
}

void VirtioDevice::notify(unsigned index) {
    if (active() && index < queues_.size() && queues_[index].enabled()) {
        available(index);
    }
}

std::uint64_t VirtioDevice::read_config(std::uint64_t offset, unsigned size) {
    const auto bytes = config();
    std::array<std::byte, 8> value{};
    for (unsigned i = 0; i < size && offset + i < bytes.size(); ++i) {
        value[i] = bytes[offset + i];
    }
    return load_le<std::uint64_t>(value.data());
}

void VirtioDevice::write_config(std::uint64_t /*offset*/, unsigned /*size*/, std::uint64_t /*value*/) {}

void VirtioDevice::serve(unsigned index) {
    for (unsigned budget = queues_[index].size(); budget > 0; --budget) {
        auto chain = pop(index);
        if (!chain) {
            return;
        }
        handle(index, std::move(*chain));
    }
    if (!continued_[index]) {
        continued_[index] = true;
        environment_.loop.post(lifetime_.guard([this, index] {
            continued_[index] = false;
            notify(index);
        }));
    }
}

std::optional<Chain> VirtioDevice::pop(unsigned index) {
    if (!active() || (transport_ != nullptr && !transport_->may_access_memory())) {
        return std::nullopt;
    }
    auto chain = queues_[index].pop();
    if (queues_[index].broken()) {
        fail();
    }
    return chain;
}

void VirtioDevice::push(unsigned index, std::uint16_t head, std::uint32_t written) {
    if (active()) {
        queues_[index].push(head, written);
    }
}

void VirtioDevice::signal(unsigned index) {
    if (active() && queues_[index].take_interrupt() && transport_ != nullptr) {
        transport_->queue_interrupt(index);
    }
}

void VirtioDevice::config_changed() {
    ++config_generation_;
    if (active() && transport_ != nullptr) {
        transport_->config_interrupt();
    }
}

void VirtioDevice::fail() {
    if (needs_reset_) {
        return;
    }
    needs_reset_ = true;
    if (active_ && transport_ != nullptr) {
        transport_->config_interrupt();
    }
}

void VirtioDevice::visit(StateVisitor& visitor) {
    if (visitor.loading()) {
        reset();
    }
    visitor.field("features", features_);
    visitor.field("active", active_);
    visitor.field("needs_reset", needs_reset_);
    visitor.field("config_generation", config_generation_);
    visit_state(visitor);
    for (Queue& queue : queues_) {
        queue.visit(visitor);
    }
    if (visitor.loading()) {
        resume_loaded(visitor);
    }
}

void VirtioDevice::resume_loaded(StateVisitor& visitor) {
    if (features_ & ~offered_features()) {
        reset();
        visitor.refuse("features");
        return;
    }
    for (unsigned index = 0; index < queues_.size(); ++index) {
        if (queues_[index].enabled()) {
            enable_queue(index);
        }
    }
    environment_.loop.post(lifetime_.guard([this] { notify_all(); }));
}

} // namespace strata::devices::virtio
