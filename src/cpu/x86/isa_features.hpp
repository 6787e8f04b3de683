// Which CPUID features an instruction belongs to: what a model must have, or the instruction is undefined.
#pragma once

#include "cpu/x86/model.hpp"

#include <Zydis/Zydis.h>

namespace strata::cpu::x86 {

// Whether `model` has the instruction. Instructions that no model has (AVX-512, virtualization, ...) are
// refused.
[[nodiscard]] bool has_instruction(const Model& model, const ZydisDecodedInstruction& instruction);

} // namespace strata::cpu::x86
