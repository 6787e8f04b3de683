// Which instructions host and model can be compared on.
#pragma once

#include "cpu/x86/model.hpp"

#include <Zydis/Zydis.h>
#include <string_view>

namespace strata::oracle {

[[nodiscard]] std::string_view host_vendor();

// The `max` model, of the host's make where the makes differ.
[[nodiscard]] cpu::x86::Model model_like_host();
// A model with exactly the host's features.
[[nodiscard]] cpu::x86::Model host_model();

// Why an instruction is not compared; empty if it is.
[[nodiscard]] std::string_view reason_to_skip(const ZydisDecodedInstruction& instruction,
                                              const cpu::x86::Model& host, const cpu::x86::Model& model);

// Whether AMD and Intel decode this encoding differently, so that no manual alone defines it: 64-bit mode's
// near branches and MOVSXD with a 66 prefix and far branches with REX.W; repeat prefixes before LOOPE and
// LOOPNE; PREFETCH with a register.
[[nodiscard]] bool vendor_specific(const ZydisDecodedInstruction& instruction);

// A masked move with a 32-bit address: some processors find its lanes beyond 4 GiB at 0, others do not.
[[nodiscard]] bool moves_lanes_by_narrow_address(const ZydisDecodedInstruction& instruction);

} // namespace strata::oracle
