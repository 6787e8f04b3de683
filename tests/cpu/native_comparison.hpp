// Random states of the floating-point unit, and the comparison of an instruction on the host with the
// interpreter's.
#pragma once

#include "interpreted_fpu.hpp"
#include "native_fpu.hpp"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace strata::cpu::testing {

class NativeComparison : public ::testing::Test {
protected:
    NativeComparison();

    using Bytes = std::vector<std::uint8_t>;

    // Runs the instruction both ways on `count` random states.
    void compare(const Bytes& instruction, unsigned count);

private:
    std::uint64_t bits() { return random_(); }

    bool one_in(unsigned n) { return random_() % n == 0; }

    template <class T, std::size_t n>
    T pick(const T (&values)[n]) {
        return values[random_() % n];
    }

    x86::Float80 number();
    FpuCase state();
    void fill_registers(x86::FpState& fp);
    void fill_operand(FpuCase& result);
    void fill_decimal(FpuCase& result);
    std::optional<int> run_native(const Bytes& instruction, FpuCase& state);
    std::string describe(const Bytes& instruction, const FpuCase& before) const;

    std::uint_fast64_t seed_;
    std::mt19937_64 random_;
    NativeFpu native_;
    InterpretedFpu interpreted_;
};

} // namespace strata::cpu::testing
