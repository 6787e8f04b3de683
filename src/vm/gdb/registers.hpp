// The registers as GDB knows them: one table makes the target description, the numbering and the transfers.
// Source: GDB manual, appendix G "Target Descriptions" and G.5.20 "i386 Features".
#pragma once

#include "cpu/x86/state.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::vm::gdb {

// One register, by its number's order. Values are little-endian, `size` bytes.
struct RegisterRow {
    std::string name;
    unsigned size;         // in bytes
    std::string_view type; // in the target description
    std::string_view feature;
    void (*get)(const cpu::x86::State& state, unsigned index, std::byte* to);
    // False if the register can't be written.
    bool (*set)(cpu::x86::State& state, unsigned index, const std::byte* from);
    unsigned index; // of several alike
};

class RegisterMap {
public:
    // For a 64-bit or a 32-bit processor.
    explicit RegisterMap(bool long_mode);

    [[nodiscard]] std::span<const RegisterRow> rows() const { return rows_; }

    [[nodiscard]] const std::string& target_xml() const { return target_xml_; }

    [[nodiscard]] std::string read(const cpu::x86::State& state, std::size_t number) const; // in hexadecimal
    [[nodiscard]] std::string read_all(const cpu::x86::State& state) const;
    [[nodiscard]] bool write(cpu::x86::State& state, std::size_t number,
                             std::span<const std::byte> bytes) const;
    [[nodiscard]] bool write_all(cpu::x86::State& state, std::span<const std::byte> bytes) const;

private:
    std::vector<RegisterRow> rows_;
    std::string target_xml_;
};

} // namespace strata::vm::gdb
