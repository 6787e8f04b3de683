// A file of compiled traces, in memory: a header with a checksum, behind it the traces, one after the other.
// The code in it is of use to the program that made it alone.
#pragma once

#include "base/error.hpp"
#include "cpu/translator/trace_store.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace strata::cpu::translator {

// Which build of Strata a program is: its GNU build ID, filled up with zeros.
using BuildIdentity = std::array<std::uint8_t, 32>;

// Of this program; empty if its linker has given it none.
[[nodiscard]] std::optional<BuildIdentity> build_identity();

inline constexpr std::size_t most_bytes_of_traces = std::size_t{32} << 20;
inline constexpr std::size_t bytes_of_trace_file_header = 96;
// Behind each trace is its age, a number of 32 bits.
inline constexpr std::size_t most_bytes_of_trace_file =
    bytes_of_trace_file_header + most_bytes_of_traces +
    most_bytes_of_traces / sizeof(CompiledTrace::Header) * sizeof(TraceStore::Kept::age);

[[nodiscard]] std::vector<std::byte> write_trace_file(const BuildIdentity& build,
                                                      std::span<const TraceStore::Kept> traces);

// Whether it is such a file at all, in whatever condition.
[[nodiscard]] bool is_trace_file(std::span<const std::byte> file);
// The error says why nothing of it is of use, as the end of a sentence about the file.
[[nodiscard]] Result<std::vector<TraceStore::Kept>> read_trace_file(const BuildIdentity& build,
                                                                    std::span<const std::byte> file);
// What is behind the header. Empty: not all of it is traces within their limits.
[[nodiscard]] std::optional<std::vector<TraceStore::Kept>> read_traces(std::span<const std::byte> content);

} // namespace strata::cpu::translator
