// The part of Go's templates that people use with --format: text with {{.Field.Member}}, {{json .Field}},
// {{index .List 0}}, {{join .List ","}}, {{len .List}}, {{upper .Text}}, {{lower .Text}} and {{println
// .Text}}.
#pragma once

#include "strata/error.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace strata::cli {

[[nodiscard]] Result<std::string> render(std::string_view format, const nlohmann::json& values);

} // namespace strata::cli
