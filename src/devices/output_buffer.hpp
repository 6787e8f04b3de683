// Gathers the bytes that a guest writes one at a time, so that a byte costs no system call: they reach the
// backend a millisecond after the first, or when there are many.
#pragma once

#include "backends/char/char.hpp"
#include "devices/device.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace strata::devices {

class OutputBuffer {
public:
    // `backend` may be null: output is lost.
    OutputBuffer(const Environment& environment, backends::CharBackend* backend)
        : clock_(environment.clock), backend_(backend), timer_(environment.loop, [this] { flush(); }) {
        bytes_.reserve(limit);
    }

    ~OutputBuffer() { flush(); }

    OutputBuffer(const OutputBuffer&) = delete;
    OutputBuffer& operator=(const OutputBuffer&) = delete;

    void put(std::uint8_t byte) {
        if (bytes_.empty()) {
            timer_.arm(clock_.now() + delay);
        }
        bytes_.push_back(std::byte{byte});
        if (bytes_.size() >= limit) {
            flush();
        }
    }

    void flush() {
        if (backend_ != nullptr && !bytes_.empty()) {
            backend_->write(bytes_);
        }
        bytes_.clear();
    }

private:
    static constexpr std::size_t limit = 1024;
    static constexpr Nanoseconds delay = 1'000'000;

    const Clock& clock_;
    backends::CharBackend* backend_;
    EventLoop::Timer timer_;
    std::vector<std::byte> bytes_;
};

} // namespace strata::devices
