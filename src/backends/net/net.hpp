// What a network card is wired to on the host.
#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <functional>
#include <span>

namespace strata::backends {

// Ethernet frames without FCS. All calls and callbacks are on the event loop's thread or under the device
// lock.
class NetBackend {
public:
    // Returns false if the frame can't be taken now; it may be offered again after resume().
    using Receiver = std::function<bool(std::span<const std::byte> frame)>;

    virtual ~NetBackend() = default;

    // A frame from the guest. Frames that can't be sent are dropped, as on a wire.
    virtual void send(std::span<const std::byte> frame) = 0;

    // Frames for the guest go to `receiver`.
    void set_receiver(Receiver receiver) { receiver_ = std::move(receiver); }

    // Called by the device when it can take frames again after refusing some; the backend may resend.
    virtual void resume() {}

protected:
    [[nodiscard]] bool deliver(std::span<const std::byte> frame) const {
        return !receiver_ || receiver_(frame);
    }

private:
    Receiver receiver_;
};

} // namespace strata::backends
