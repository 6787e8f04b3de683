// What a serial line or console is wired to on the host: a terminal, a file, a socket, a pty.
#pragma once

#include "base/error.hpp"
#include "base/event_loop.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace strata::backends {

// All calls and callbacks are on the event loop's thread or under the device lock.
class CharBackend {
public:
    // Takes bytes typed at the host; returns how many it took. The rest is offered again after resume().
    using Receiver = std::function<std::size_t(std::span<const std::byte> bytes)>;

    virtual ~CharBackend() = default;

    // Bytes from the guest. Never blocks the guest for long: a peer that does not read loses output.
    virtual void write(std::span<const std::byte> bytes) = 0;

    void set_receiver(Receiver receiver) { receiver_ = std::move(receiver); }

    // The device can take bytes again.
    virtual void resume() {}

    // What the user has to know to use it, one line: an escape key, the name of a pty. Empty: nothing.
    [[nodiscard]] virtual std::string announcement() const { return {}; }

protected:
    std::size_t deliver(std::span<const std::byte> bytes) const {
        return receiver_ ? receiver_(bytes) : bytes.size();
    }

private:
    Receiver receiver_;
};

struct CharOptions {
    std::function<void()> quit; // the user asks for the end at the terminal; called on the loop's thread
};

// "stdio" (this process's terminal, or its standard input and output), "file:PATH", "socket:PATH",
// "socket:HOST:PORT" (a server for one client at a time), "pty" or "none". To be called, and what it returns
// destroyed, on the loop's thread or while the loop does not run.
[[nodiscard]] Result<std::unique_ptr<CharBackend>> open_char(EventLoop& loop, const std::string& spec,
                                                             const CharOptions& options);

} // namespace strata::backends
