// The small languages of option values: sizes, disks, modules, traces.
#pragma once

#include "strata/machine.hpp"

#include <string>

namespace strata::cli {

// 64M, 2G, 1024K, 4096: bytes.
[[nodiscard]] Result<std::uint64_t> parse_size(const std::string& text);

// FILE[,format=raw|qcow2][,readonly]
[[nodiscard]] Result<DiskConfig> parse_disk(const std::string& text);

// FILE[,ARGUMENTS]
[[nodiscard]] ModuleConfig parse_module(const std::string& text);

// insn,exceptions,interrupts,ports[=FILE]
[[nodiscard]] Result<TraceConfig> parse_trace(const std::string& text);

} // namespace strata::cli
