#include "cpu/lockstep/instruction_at.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <span>

namespace strata::cpu::lockstep {
namespace {

ZydisDecoder decoder_of(const interpreter::Cpu& cpu) {
    ZydisDecoder decoder;
    const bool big = cpu.protected_mode() && !cpu.v86() && cpu.system.segments[x86::cs].big();
    if (cpu.code64()) {
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    } else if (big) {
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    } else {
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    }
    return decoder;
}

// As many of the bytes at `linear` as can be read; how many.
std::size_t read_code(const interpreter::Cpu& cpu, const memory::GuestMemory& memory, std::uint64_t linear,
                      std::span<std::uint8_t> to) {
    std::size_t count = 0;
    while (count < to.size()) {
        const std::uint64_t left = memory::page_size - (linear + count) % memory::page_size;
        const std::size_t piece = std::min<std::size_t>(left, to.size() - count);
        const auto physical = cpu.translate(linear + count);
        if (!physical || !memory.read(*physical, &to[count], piece)) {
            break;
        }
        count += piece;
    }
    return count;
}

} // namespace

std::optional<Instruction> instruction_at_rip(const interpreter::Cpu& cpu,
                                              const memory::GuestMemory& memory) {
    Instruction instruction{};
    instruction.linear = cpu.code64() ? cpu.rip() : cpu.system.segments[x86::cs].base + cpu.rip();
    instruction.physical = cpu.translate(instruction.linear);
    std::array<std::uint8_t, ZYDIS_MAX_INSTRUCTION_LENGTH> bytes{};
    const std::size_t count = read_code(cpu, memory, instruction.linear, bytes);
    const ZydisDecoder decoder = decoder_of(cpu);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes.data(), count, &instruction.decoded,
                                           instruction.operands.data()))) {
        return std::nullopt;
    }
    return instruction;
}

std::string Instruction::text() const {
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    std::array<char, 128> line{};
    ZydisFormatterFormatInstruction(&formatter, &decoded, operands.data(), decoded.operand_count_visible,
                                    line.data(), line.size(), linear, nullptr);
    return fmt::format("{:016x}  {}", linear, line.data());
}

} // namespace strata::cpu::lockstep
