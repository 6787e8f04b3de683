#include "vm/gdb/packet.hpp"

#include <charconv>
#include <fmt/format.h>

namespace strata::vm::gdb {
namespace {

constexpr std::uint8_t interrupt_byte = 0x03;
constexpr std::uint8_t escape_mask = 0x20;

std::optional<std::uint8_t> digit(std::uint8_t character) {
    if (character >= '0' && character <= '9') {
        return static_cast<std::uint8_t>(character - '0');
    }
    const auto lower = static_cast<std::uint8_t>(character | 0x20);
    if (lower >= 'a' && lower <= 'f') {
        return static_cast<std::uint8_t>(lower - 'a' + 10);
    }
    return std::nullopt;
}

} // namespace

std::vector<Event> PacketReader::feed(std::span<const std::byte> bytes) {
    std::vector<Event> events;
    for (const std::byte byte : bytes) {
        if (auto event = take(std::to_integer<std::uint8_t>(byte))) {
            events.push_back(std::move(*event));
        }
    }
    return events;
}

std::optional<Event> PacketReader::take(std::uint8_t byte) {
    switch (state_) {
    case State::outside: return take_outside(byte);
    case State::data:
        if (byte == '#') {
            state_ = State::checksum_high;
        } else if (byte == '$') { // GDB gave up a packet and starts anew
            return take_outside(byte);
        } else {
            sum_ = static_cast<std::uint8_t>(sum_ + byte);
            if (byte == '}') {
                state_ = State::escaped;
            } else {
                append(byte);
            }
        }
        return std::nullopt;
    case State::escaped:
        sum_ = static_cast<std::uint8_t>(sum_ + byte);
        append(byte ^ escape_mask);
        state_ = State::data;
        return std::nullopt;
    case State::checksum_high:
        high_digit_ = byte;
        state_ = State::checksum_low;
        return std::nullopt;
    case State::checksum_low: state_ = State::outside; return finish(byte);
    }
    return std::nullopt;
}

std::optional<Event> PacketReader::take_outside(std::uint8_t byte) {
    switch (byte) {
    case '$':
        state_ = State::data;
        data_.clear();
        too_long_ = false;
        sum_ = 0;
        return std::nullopt;
    case '+': return Event{Event::Kind::acknowledged};
    case '-': return Event{Event::Kind::resend};
    case interrupt_byte: return Event{Event::Kind::interrupt};
    default: return std::nullopt;
    }
}

void PacketReader::append(std::uint8_t byte) {
    if (data_.size() < packet_size) {
        data_.push_back(static_cast<char>(byte));
    } else {
        too_long_ = true;
    }
}

Event PacketReader::finish(std::uint8_t low_digit) {
    const auto high = digit(high_digit_), low = digit(low_digit);
    if (too_long_ || !high || !low || *high * 16 + *low != sum_) {
        return {Event::Kind::bad_packet};
    }
    return {Event::Kind::packet, std::move(data_)};
}

std::string frame(std::string_view data) {
    std::string packet = "$";
    std::uint8_t sum = 0;
    const auto put = [&](char character) {
        packet.push_back(character);
        sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(character));
    };
    for (const char character : data) {
        if (character == '#' || character == '$' || character == '}' || character == '*') {
            put('}');
            put(static_cast<char>(character ^ escape_mask));
        } else {
            put(character);
        }
    }
    return fmt::format("{}#{:02x}", packet, sum);
}

std::string to_hex(std::span<const std::byte> bytes) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::byte byte : bytes) {
        text.push_back(digits[std::to_integer<unsigned>(byte) >> 4]);
        text.push_back(digits[std::to_integer<unsigned>(byte) & 0xF]);
    }
    return text;
}

std::string to_hex(std::string_view text) { return to_hex(std::as_bytes(std::span(text))); }

std::optional<std::vector<std::byte>> from_hex(std::string_view digits) {
    if (digits.size() % 2 != 0) {
        return std::nullopt;
    }
    std::vector<std::byte> bytes;
    bytes.reserve(digits.size() / 2);
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        const auto high = digit(static_cast<std::uint8_t>(digits[i]));
        const auto low = digit(static_cast<std::uint8_t>(digits[i + 1]));
        if (!high || !low) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<std::byte>(*high * 16 + *low));
    }
    return bytes;
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
    if (error != std::errc{}) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) {
        return false;
    }
    text.remove_prefix(prefix.size());
    return true;
}

} // namespace strata::vm::gdb
