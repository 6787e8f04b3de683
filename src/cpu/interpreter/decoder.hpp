// From guest code bytes to predecoded instructions: Zydis decodes, the groups' rows choose handlers.
#pragma once

#include "cpu/interpreter/code_mode.hpp"
#include "cpu/interpreter/decode_cache.hpp"
#include "cpu/interpreter/rows.hpp"
#include "cpu/x86/model.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace strata::cpu::interpreter {

inline constexpr unsigned max_instruction_length = 15;

class Decoder {
public:
    explicit Decoder(const x86::Model& model);

    enum class Status : std::uint8_t {
        ok,        // also for undefined instructions: their handler raises #UD
        truncated, // more bytes are needed
        too_long,  // more than 15 bytes: #GP
    };

    struct Result {
        Status status = Status::ok;
        Insn insn{};
        bool ends_block = false; // what follows it in memory need not be executed next
        bool refused = false;    // in this mode it does nothing but raise #UD or #NM
    };

    // For who decodes further what decode() accepted.
    [[nodiscard]] const ZydisDecoder& zydis(CodeMode::Size size) const {
        return decoders_[static_cast<std::size_t>(size)];
    }

    [[nodiscard]] Result decode(const CodeMode& mode, std::span<const std::uint8_t> bytes);

private:
    [[nodiscard]] Result decode_known(const CodeMode& mode, std::span<const std::uint8_t> bytes);
    [[nodiscard]] Result decode_anew(const CodeMode& mode, std::span<const std::uint8_t> bytes) const;

    const x86::Model& model_;
    std::array<ZydisDecoder, 3> decoders_{}; // by CodeMode::Size
    DecodeCache<Result> known_;
};

} // namespace strata::cpu::interpreter
