// Messages in the wire format of Protocol Buffers (protobuf.dev, "Encoding"), as far as CRIU's service speaks
// it: numbers (bool, enum, int32 and uint32), strings, and messages in messages.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::container {

class MessageWriter {
public:
    void number(unsigned field, std::uint64_t value);
    void text(unsigned field, std::string_view value);

    void message(unsigned field, const MessageWriter& value) { text(field, value.bytes()); }

    [[nodiscard]] const std::string& bytes() const { return bytes_; }

private:
    void varint(std::uint64_t value);

    std::string bytes_;
};

// A message that came; the last of a field's values counts.
class MessageReader {
public:
    static Result<MessageReader> parse(std::string_view bytes);

    [[nodiscard]] std::optional<std::uint64_t> number(unsigned field) const;
    [[nodiscard]] std::optional<std::string> text(unsigned field) const;
    // A message that is absent is an empty one.
    [[nodiscard]] MessageReader message(unsigned field) const;

private:
    struct Value {
        unsigned field;
        std::uint64_t number;
        std::optional<std::string> text;
    };

    [[nodiscard]] const Value* find(unsigned field) const;

    std::vector<Value> values_;
};

} // namespace strata::container
