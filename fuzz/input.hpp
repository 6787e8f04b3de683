// A fuzzer's input, taken apart from the front; when it is used up, everything is zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace strata::fuzz {

class Input {
public:
    Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }

    template <class T>
    T take() {
        T value{};
        const auto bytes = take_bytes(sizeof value);
        std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }

    std::span<const std::uint8_t> take_bytes(std::size_t size) {
        const auto bytes = rest_.first(std::min(size, rest_.size()));
        rest_ = rest_.subspan(bytes.size());
        return bytes;
    }

private:
    std::span<const std::uint8_t> rest_;
};

} // namespace strata::fuzz
