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

} // namespace strata::oracle
