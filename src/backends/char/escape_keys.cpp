#include "backends/char/escape_keys.hpp"

namespace strata::backends {

namespace {

constexpr std::byte ctrl_a{1};

} // namespace

std::size_t EscapeKeys::filter(std::span<const std::byte> typed, std::vector<std::byte>& plain,
                               Command& command) {
    command = Command::none;
    for (std::size_t i = 0; i < typed.size(); ++i) {
        const auto key = typed[i];
        if (!escaped_) {
            escaped_ = key == ctrl_a;
            if (!escaped_) {
                plain.push_back(key);
            }
            continue;
        }
        escaped_ = false;
        switch (std::to_integer<char>(key)) {
        case 'x': command = Command::quit; return i + 1;
        case 'h':
        case '?': command = Command::help; return i + 1;
        case 1:
        case 'a': plain.push_back(ctrl_a); break;
        default: break; // an unknown command does nothing
        }
    }
    return typed.size();
}

} // namespace strata::backends
