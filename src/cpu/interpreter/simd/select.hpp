// From a decoded vector instruction to its handler: what is common to all rows of the simd groups.
#pragma once

#include "cpu/interpreter/rows.hpp"
#include "cpu/interpreter/simd/operands.hpp"

#include <concepts>
#include <cstdint>
#include <type_traits>

// The rows of a legacy SSE instruction and of its AVX form, which differ by a V.
#define STRATA_SSE_AVX(name, ...)                                                                            \
    Row{ZYDIS_MNEMONIC_##name, __VA_ARGS__}, Row { ZYDIS_MNEMONIC_V##name, __VA_ARGS__ }
#define STRATA_SSE(name, ...)                                                                                \
    Row { ZYDIS_MNEMONIC_##name, __VA_ARGS__ }

namespace strata::cpu::interpreter::simd {

// The handler for the instruction's vector length, or the one that raises #UD or #NM while the operating
// system does not let vector instructions execute. Makes vvvv the first source of legacy forms too. Null for
// instructions that are not ours (on MM registers, EVEX) and for 256 bits if `wide` is null.
[[nodiscard]] Handler select_form(const Decoded& decoded, Insn& insn, Handler narrow, Handler wide);

// Whether the handler is one of those that raise.
[[nodiscard]] bool refuses(Handler handler);

// Whether an operand is an MM register.
[[nodiscard]] bool uses_mmx(const Decoded& decoded);

// Whether the first operand, the destination, is in the ModRM.rm field (the store direction of moves).
[[nodiscard]] bool destination_is_rm(const Decoded& decoded);

// Packed instructions, from an operation on blocks that takes the operands a = vvvv and b = r/m, or b alone,
// and the immediate if it uses one. In the upper block the immediate is first shifted right by
// `immediate_step`.
template <auto operation, unsigned immediate_step, std::size_t blocks>
void packed_handler(Cpu& cpu, const Insn& insn) {
    using Operation = decltype(operation);
    Vector<blocks> result = source<blocks>(cpu, insn);
    [[maybe_unused]] const Vector<blocks> a = read<blocks>(cpu, insn.vvvv);
    [[maybe_unused]] std::uint8_t control = immediate(insn);
    for (unsigned i = 0; i < blocks; ++i) {
        Block& b = result[i];
        if constexpr (std::is_invocable_v<Operation, Block, Block, std::uint8_t>) {
            b = operation(a[i], b, control);
        } else if constexpr (std::is_invocable_v<Operation, Block, Block>) {
            b = operation(a[i], b);
        } else if constexpr (std::is_invocable_v<Operation, Block, std::uint8_t>) {
            b = operation(b, control);
        } else {
            b = operation(b);
        }
        control = static_cast<std::uint8_t>(control >> immediate_step);
    }
    write(cpu, insn, result);
}

template <auto operation, unsigned immediate_step = 0>
Handler packed(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &packed_handler<operation, immediate_step, 1>,
                       &packed_handler<operation, immediate_step, 2>);
}

// As packed(), for instructions that have no 256-bit form.
template <auto operation>
Handler packed_128(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, &packed_handler<operation, 0, 1>, nullptr);
}

// A handler used as it is, 128 bits only.
template <Handler handler>
Handler fixed_128(const Decoded& decoded, Insn& insn) {
    return select_form(decoded, insn, handler, nullptr);
}

} // namespace strata::cpu::interpreter::simd
