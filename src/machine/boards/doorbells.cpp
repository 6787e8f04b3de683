#include "machine/boards/doorbells.hpp"

#include <algorithm>
#include <sys/epoll.h>
#include <sys/eventfd.h>

namespace strata::machine {

Doorbells::~Doorbells() {
    for (const Doorbell& doorbell : doorbells_) {
        loop_.unwatch(doorbell.event.get());
    }
}

void Doorbells::add(const devices::Device& device, unsigned region, std::uint64_t offset) {
    FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) {
        return; // its writes stay with the vCPU
    }
    loop_.watch(event.get(), EPOLLIN, [this, index = doorbells_.size()](std::uint32_t) { rang(index); });
    doorbells_.push_back({&device, region, offset, std::move(event), std::nullopt});
}

std::optional<std::uint64_t> Doorbells::address_of(const Doorbell& doorbell) const {
    const auto mappings = router_.mappings();
    const auto found = std::ranges::find_if(mappings, [&](const auto& mapping) {
        return mapping.device == doorbell.device && mapping.region == doorbell.region;
    });
    if (found == mappings.end() || !found->info.mapped) {
        return std::nullopt;
    }
    const std::uint64_t address = found->info.base + doorbell.offset;
    const auto* owner = router_.find(devices::Space::memory, address);
    const bool shows =
        owner != nullptr && owner->device == doorbell.device && owner->region == doorbell.region;
    return shows ? std::optional(address) : std::nullopt; // another region may lie over it
}

void Doorbells::listen_by(cpu::WriteEvents* events) {
    events_ = events;
    for (Doorbell& doorbell : doorbells_) {
        doorbell.heard_at.reset();
    }
    follow_map();
}

void Doorbells::follow_map() {
    if (events_ == nullptr) {
        return;
    }
    for (Doorbell& doorbell : doorbells_) {
        const auto address = address_of(doorbell);
        if (address == doorbell.heard_at) {
            continue;
        }
        if (doorbell.heard_at) {
            events_->remove(*doorbell.heard_at, doorbell.event.get());
            doorbell.heard_at.reset();
        }
        if (address && events_->add(*address, doorbell.event.get())) {
            doorbell.heard_at = address;
        }
    }
}

void Doorbells::rang(std::size_t index) {
    const Doorbell& doorbell = doorbells_[index];
    eventfd_t count = 0;
    if (::eventfd_read(doorbell.event.get(), &count) != 0) {
        return;
    }
    if (const auto address = address_of(doorbell)) {
        router_.write(devices::Space::memory, *address, 4, 0);
    }
}

} // namespace strata::machine
