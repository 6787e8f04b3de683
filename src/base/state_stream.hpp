// Saved state as bytes: sections (one a device) of named fields, each with its size, so that state of another
// version is refused with the name of the first field that differs, never misread.
//
// section: 'S', name length (1 byte), name. field: 'F', name length (1), name, length in bytes (4, little
// endian), bytes. A name length of 0 repeats the previous field's name (elements of an array).
#pragma once

#include "base/error.hpp"
#include "base/state_visitor.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

class StateWriter final : public StateVisitor {
public:
    // Begins the section of one device; names have 1 to 255 characters.
    void section(std::string_view name);

    [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

    [[nodiscard]] bool loading() const override { return false; }

    void refuse(std::string_view name) override; // a field is longer than its own limit: not saved whole

    // Whether everything could be saved.
    [[nodiscard]] Result<void> result() const;

private:
    void block(std::string_view name, std::span<std::byte> bytes) override;
    void put(std::span<const std::byte> bytes);
    void put_name(std::string_view name);

    std::vector<std::byte> bytes_;
    std::string section_;
    std::string field_; // the last one's name
    std::string refused_;
};

// Reads what StateWriter wrote. After the first mismatch nothing is changed any more; result() tells what it
// was.
class StateReader final : public StateVisitor {
public:
    explicit StateReader(std::span<const std::byte> bytes) : rest_(bytes) {}

    void section(std::string_view name);

    [[nodiscard]] bool loading() const override { return true; }

    void refuse(std::string_view name) override;

    // Whether all that was asked for was there, and nothing is left over.
    [[nodiscard]] Result<void> result() const;

private:
    void block(std::string_view name, std::span<std::byte> bytes) override;
    [[nodiscard]] std::span<const std::byte> take(std::size_t size); // at most as many as there are
    [[nodiscard]] std::uint8_t take_byte();
    [[nodiscard]] std::string take_name();
    void fail_with(std::string_view field, std::string_view what);

    std::span<const std::byte> rest_;
    std::string section_;
    std::string field_;
    std::string error_;
};

} // namespace strata
