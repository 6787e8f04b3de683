#include "container/criu/message.hpp"

#include <algorithm>
#include <ranges>

namespace strata::container {
namespace {

enum WireType : std::uint8_t { varint_type = 0, fixed64_type = 1, text_type = 2, fixed32_type = 5 };

// Takes bytes from the front; once there are too few, all that follows is 0 and empty.
class Bytes {
public:
    explicit Bytes(std::string_view bytes) : rest_(bytes) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }

    [[nodiscard]] bool broken() const { return broken_; }

    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto byte = static_cast<unsigned char>(take(1).empty() ? 0 : last_);
            value |= std::uint64_t{byte & 0x7FU} << shift;
            if ((byte & 0x80) == 0) {
                return value;
            }
        }
        broken_ = true;
        return 0;
    }

    std::string_view take(std::uint64_t count) {
        if (broken_ || count > rest_.size()) {
            broken_ = true;
            rest_ = {};
            return {};
        }
        const auto taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        last_ = taken.empty() ? '\0' : taken.back();
        return taken;
    }

private:
    std::string_view rest_;
    char last_ = 0;
    bool broken_ = false;
};

} // namespace

void MessageWriter::varint(std::uint64_t value) {
    while (value >= 0x80) {
        bytes_.push_back(static_cast<char>(value | 0x80));
        value >>= 7;
    }
    bytes_.push_back(static_cast<char>(value));
}

void MessageWriter::number(unsigned field, std::uint64_t value) {
    varint(std::uint64_t{field} << 3 | varint_type);
    varint(value);
}

void MessageWriter::text(unsigned field, std::string_view value) {
    varint(std::uint64_t{field} << 3 | text_type);
    varint(value.size());
    bytes_.append(value);
}

Result<MessageReader> MessageReader::parse(std::string_view bytes) {
    MessageReader reader;
    Bytes rest(bytes);
    while (!rest.empty()) {
        const auto key = rest.varint();
        Value value{.field = static_cast<unsigned>(key >> 3), .number = 0, .text = std::nullopt};
        switch (key & 7) {
        case varint_type: value.number = rest.varint(); break;
        case fixed64_type: rest.take(8); break; // nothing here has one
        case text_type: value.text = rest.take(rest.varint()); break;
        case fixed32_type: rest.take(4); break;
        default: return fail("a message has a value of unknown type");
        }
        if (rest.broken()) {
            return fail("a message ends early");
        }
        reader.values_.push_back(std::move(value));
    }
    return reader;
}

const MessageReader::Value* MessageReader::find(unsigned field) const {
    const auto last_first = std::views::reverse(values_);
    const auto found = std::ranges::find(last_first, field, &Value::field);
    return found != last_first.end() ? &*found : nullptr;
}

std::optional<std::uint64_t> MessageReader::number(unsigned field) const {
    const Value* value = find(field);
    return value != nullptr && !value->text ? std::optional(value->number) : std::nullopt;
}

std::optional<std::string> MessageReader::text(unsigned field) const {
    const Value* value = find(field);
    return value != nullptr ? value->text : std::nullopt;
}

MessageReader MessageReader::message(unsigned field) const {
    return parse(text(field).value_or("")).value_or(MessageReader{});
}

} // namespace strata::container
