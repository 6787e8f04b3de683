// Walks the state of something that can be saved, a device above all, field by field, to save or to load it.
#pragma once

#include "base/bytes.hpp"

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace strata {

class StateVisitor {
public:
    virtual ~StateVisitor() = default;

    [[nodiscard]] virtual bool loading() const = 0;

    template <class T>
        requires std::integral<T> || std::is_enum_v<T>
    void field(std::string_view name, T& value) {
        auto raw = static_cast<std::uint64_t>(value);
        integer(name, raw, sizeof(T));
        value = static_cast<T>(raw);
    }

    // A field whose values above `most` are impossible.
    template <class T>
        requires std::integral<T> || std::is_enum_v<T>
    void field_up_to(std::string_view name, T& value, std::type_identity_t<T> most) {
        const T before = value;
        field(name, value);
        if (value > most) {
            value = before;
            refuse(name);
        }
    }

    template <class T, std::size_t N>
    void field(std::string_view name, std::array<T, N>& values) {
        elements(name, std::span<T>(values));
    }

    // Grows or shrinks to what was saved, at most `limit` elements.
    template <class T>
        requires std::integral<T> || std::is_enum_v<T>
    void field(std::string_view name, std::vector<T>& values, std::size_t limit) {
        std::uint64_t count = values.size();
        field(name, count);
        if (count > limit) {
            refuse(name);
            return;
        }
        values.resize(count);
        elements(name, std::span<T>(values));
    }

    // A saved value is impossible: loading fails with the field's name.
    virtual void refuse(std::string_view name) = 0;

protected:
    // One field's bytes, in little endian: saved as they are, or replaced by what was saved.
    virtual void block(std::string_view name, std::span<std::byte> bytes) = 0;

private:
    void integer(std::string_view name, std::uint64_t& value, std::size_t bytes) {
        std::array<std::byte, sizeof value> raw{};
        store_le(raw.data(), value);
        block(name, std::span(raw).first(bytes));
        value = load_le<std::uint64_t>(raw.data());
    }

    template <class T>
    void elements(std::string_view name, std::span<T> values) {
        if constexpr (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::byte>) {
            block(name, std::as_writable_bytes(values));
        } else {
            for (auto& value : values) {
                field(name, value);
            }
        }
    }
};

} // namespace strata
