// The framing of GDB's remote serial protocol: $data#checksum, acknowledgements, escapes, the interrupt byte.
// Source: GDB manual, appendix E.1 "Overview" and E.9 "Interrupts".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::vm::gdb {

// The longest packet taken, as told to GDB in qSupported's PacketSize.
inline constexpr std::size_t packet_size = 0x4000;

struct Event {
    enum class Kind : std::uint8_t { packet, bad_packet, acknowledged, resend, interrupt } kind;
    std::string data{}; // a packet's, unescaped
};

// Cuts the bytes of a connection into events. Any bytes may come; what is outside a packet is ignored, and a
// packet over packet_size is a bad one.
class PacketReader {
public:
    [[nodiscard]] std::vector<Event> feed(std::span<const std::byte> bytes);

private:
    enum class State : std::uint8_t { outside, data, escaped, checksum_high, checksum_low };

    [[nodiscard]] std::optional<Event> take(std::uint8_t byte);
    [[nodiscard]] std::optional<Event> take_outside(std::uint8_t byte);
    void append(std::uint8_t byte);
    [[nodiscard]] Event finish(std::uint8_t low_digit);

    State state_ = State::outside;
    std::string data_;
    bool too_long_ = false;
    std::uint8_t sum_ = 0;
    std::uint8_t high_digit_ = 0;
};

// The packet that carries `data`.
[[nodiscard]] std::string frame(std::string_view data);

// Hexadecimal text, two digits a byte, as in most packets.
[[nodiscard]] std::string to_hex(std::span<const std::byte> bytes);
[[nodiscard]] std::string to_hex(std::string_view text);
// Nothing if a digit is wrong or one is missing.
[[nodiscard]] std::optional<std::vector<std::byte>> from_hex(std::string_view digits);
// A number in hexadecimal at the start of `text`, which is moved behind it; nothing if there is none or it
// does not fit.
[[nodiscard]] std::optional<std::uint64_t> take_number(std::string_view& text);
// True, and `text` moved behind it, if it starts with `prefix`.
[[nodiscard]] bool take_prefix(std::string_view& text, std::string_view prefix);

} // namespace strata::vm::gdb
