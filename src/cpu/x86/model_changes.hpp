// CPU models with features left out or added.
#pragma once

#include "cpu/x86/model.hpp"

#include <string>
#include <string_view>

namespace strata::cpu::x86 {

[[nodiscard]] FeatureSet without(const FeatureSet& features, Feature feature);

// A model with changes, as --cpu has it: "NAME", "NAME,-FEATURE,+FEATURE". The name stays the model's.
[[nodiscard]] Result<Model> parse_model(std::string_view text);
// The text that parse_model() makes this model of.
[[nodiscard]] std::string model_text(const Model& model);

} // namespace strata::cpu::x86
