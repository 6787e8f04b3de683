// Walks the state of something that can be saved, a device above all, field by field, to save or to load it.
#pragma once

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
        for (auto& value : values) {
            field(name, value);
        }
    }

    // Grows or shrinks to what was saved, at most `limit` elements.
    template <std::integral T>
    void field(std::string_view name, std::vector<T>& values, std::size_t limit) {
        std::uint64_t count = values.size();
        integer(name, count, sizeof count);
        if (count > limit) {
            refuse(name);
            return;
        }
        values.resize(count);
        for (auto& value : values) {
            field(name, value);
        }
    }

    // A saved value is impossible: loading fails with the field's name.
    virtual void refuse(std::string_view name) = 0;

protected:
    virtual void integer(std::string_view name, std::uint64_t& value, std::size_t bytes) = 0;
};

} // namespace strata
