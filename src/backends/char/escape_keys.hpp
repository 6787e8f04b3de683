// The keys that a user at the terminal keeps for the monitor: Ctrl-A and one more.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace strata::backends {

// Takes what is typed apart: bytes for the guest, and commands for the monitor.
class EscapeKeys {
public:
    enum class Command { none, quit, help };

    // Appends the guest's bytes to `plain`, and returns how many of `typed` were used: all, or those up to
    // and with the end of a command.
    std::size_t filter(std::span<const std::byte> typed, std::vector<std::byte>& plain, Command& command);

    static constexpr std::string_view announcement = "Ctrl-A x ends the machine, Ctrl-A h lists the keys";
    static constexpr std::string_view help = "\r\nCtrl-A x  end the machine at once\r\n"
                                             "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n"
                                             "Ctrl-A h  this help\r\n";

private:
    bool escaped_ = false; // Ctrl-A was the last key
};

} // namespace strata::backends
