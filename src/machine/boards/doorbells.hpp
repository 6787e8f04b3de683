// Doorbells of devices that the engine can listen to: the write does not bring the vCPU out, the I/O loop
// carries it out.
#pragma once

#include "base/event_loop.hpp"
#include "base/file_descriptor.hpp"
#include "cpu/assistance.hpp"
#include "devices/router.hpp"

#include <optional>
#include <vector>

namespace strata::machine {

// Under the device lock, or before the machine runs.
class Doorbells {
public:
    // Both outlive it; the loop does not run yet, and calls back under the device lock.
    Doorbells(devices::Router& router, EventLoop& loop) : router_(router), loop_(loop) {}

    ~Doorbells();
    Doorbells(const Doorbells&) = delete;
    Doorbells& operator=(const Doorbells&) = delete;

    // A doorbell of a device that the router has. Before the loop runs.
    void add(const devices::Device& device, unsigned region, std::uint64_t offset);

    // Who listens from now on; null: nobody. The one before forgets by itself.
    void listen_by(cpu::WriteEvents* events);

    // The router's map has changed.
    void follow_map();

private:
    struct Doorbell {
        const devices::Device* device;
        unsigned region;
        std::uint64_t offset;
        FileDescriptor event;
        std::optional<std::uint64_t> heard_at; // the address that is listened to
    };

    [[nodiscard]] std::optional<std::uint64_t> address_of(const Doorbell& doorbell) const;
    void rang(std::size_t index);

    devices::Router& router_;
    EventLoop& loop_;
    cpu::WriteEvents* events_ = nullptr;
    std::vector<Doorbell> doorbells_;
};

} // namespace strata::machine
