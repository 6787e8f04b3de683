// Makes ACPI machine language: each function returns the encoding of one term. ACPI Specification 6.5,
// chapter 20 (AML) and section 6.4 (resource descriptors).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace strata::machine::aml {

// The encoding of an AML term. Terms nest by value.
struct Term {
    std::vector<std::byte> bytes;
};

// Something within a resource template.
struct Resource {
    std::vector<std::byte> bytes;
};

using Terms = std::vector<Term>;

// Data.
[[nodiscard]] Term integer(std::uint64_t value);
[[nodiscard]] Term string(std::string_view text);
[[nodiscard]] Term eisa_id(std::string_view id); // "PNP0A08", compressed to an integer
[[nodiscard]] Term package(const Terms& elements);
[[nodiscard]] Term buffer(std::span<const std::byte> contents);
[[nodiscard]] Term resources(std::initializer_list<Resource> descriptors);

// Names are segments of up to four characters, separated by dots; a leading backslash is the root.
[[nodiscard]] Term reference(std::string_view name);
[[nodiscard]] Term name(std::string_view name, const Term& value);
[[nodiscard]] Term scope(std::string_view name, const Terms& body);
[[nodiscard]] Term device(std::string_view name, const Terms& body);
[[nodiscard]] Term method(std::string_view name, unsigned arguments, const Terms& body);
[[nodiscard]] Term argument(unsigned number);
[[nodiscard]] Term return_value(const Term& value);

// Resource descriptors.
[[nodiscard]] Resource io(std::uint16_t base, std::uint8_t length);
[[nodiscard]] Resource irq(unsigned number); // edge-triggered, active high
[[nodiscard]] Resource memory32_fixed(std::uint32_t base, std::uint32_t length);
// Windows that a bus passes on to what is behind it.
[[nodiscard]] Resource bus_numbers(std::uint16_t first, std::uint16_t last);
[[nodiscard]] Resource io_window(std::uint16_t first, std::uint16_t last);
[[nodiscard]] Resource memory_window(std::uint32_t base, std::uint32_t length);
[[nodiscard]] Resource memory_window64(std::uint64_t base, std::uint64_t length);

} // namespace strata::machine::aml
