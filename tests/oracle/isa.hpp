// Which instructions host and model can be compared on.
#pragma once

#include "cpu/x86/model.hpp"

#include <Zydis/Zydis.h>
#include <string>
#include <string_view>

namespace strata::oracle {

[[nodiscard]] cpu::x86::FeatureSet host_features();
[[nodiscard]] std::string host_vendor();

// Why an instruction is not compared; empty if it is.
[[nodiscard]] std::string_view reason_to_skip(const ZydisDecodedInstruction& instruction,
                                              const cpu::x86::FeatureSet& host, const cpu::x86::Model& model);

// Whether AMD and Intel decode this encoding differently, so that no manual alone defines it: 64-bit mode's near
// branches with a 66 prefix and far ones with REX.W; repeat prefixes before LOOPE and LOOPNE.
[[nodiscard]] bool vendor_specific(const ZydisDecodedInstruction& instruction);

} // namespace strata::oracle
