#include "cpu/interpreter/trace.hpp"

#include "cpu/interpreter/shared.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <fmt/format.h>
#include <string>

namespace strata::cpu::interpreter {
namespace {

constexpr unsigned longest_instruction = 15;

struct Mode {
    ZydisMachineMode machine;
    ZydisStackWidth stack;
};

Mode mode_of(const Cpu& cpu) {
    if (cpu.code64()) {
        return {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64};
    }
    const bool big = cpu.protected_mode() && !cpu.v86() && cpu.system.segments[x86::cs].big();
    return big ? Mode{ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32}
               : Mode{ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16};
}

// As many of the bytes at `linear` as can be read without side effects.
unsigned read_bytes(Cpu& cpu, std::uint64_t linear, std::span<std::uint8_t> to) {
    unsigned count = 0;
    for (std::uint8_t& byte : to) {
        const auto physical = cpu.translate(linear + count);
        if (!physical || !cpu.shared().memory().read(*physical, &byte, 1)) {
            break;
        }
        ++count;
    }
    return count;
}

std::string disassemble(const Cpu& cpu, std::span<const std::uint8_t> bytes, std::uint64_t address) {
    const Mode mode = mode_of(cpu);
    ZydisDecoder decoder;
    ZydisFormatter formatter;
    ZydisDecodedInstruction instruction;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    std::array<char, 128> text;
    ZydisDecoderInit(&decoder, mode.machine, mode.stack);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    if (ZYAN_FAILED(
            ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &instruction, operands.data())) ||
        ZYAN_FAILED(ZydisFormatterFormatInstruction(&formatter, &instruction, operands.data(),
                                                    instruction.operand_count_visible, text.data(),
                                                    text.size(), address, nullptr))) {
        return "(undefined)";
    }
    return text.data();
}

std::string_view name_of(std::uint8_t vector) {
    static constexpr std::array<std::string_view, 20> names{"#DE", "#DB",  "NMI", "#BP", "#OF", "#BR", "#UD",
                                                            "#NM", "#DF",  "(9)", "#TS", "#NP", "#SS", "#GP",
                                                            "#PF", "(15)", "#MF", "#AC", "#MC", "#XM"};
    return vector < names.size() ? names[vector] : "";
}

std::string place_of(const Cpu& cpu) {
    return fmt::format("{:04x}:{:016x}", cpu.system.segments[x86::cs].selector, cpu.rip());
}

} // namespace

void trace_instruction(Cpu& cpu, unsigned length) {
    const std::uint64_t offset = cpu.rip() - length;
    const std::uint64_t linear = (cpu.code64() ? 0 : cpu.system.segments[x86::cs].base) + offset;
    std::array<std::uint8_t, longest_instruction> bytes;
    const auto count = read_bytes(cpu, linear, std::span(bytes).first(std::min(length, longest_instruction)));
    const auto code = std::span<const std::uint8_t>(bytes).first(count);
    cpu.config().trace_sink->trace(cpu.config().id, fmt::format("insn {:04x}:{:016x} {:<30} {}",
                                                                cpu.system.segments[x86::cs].selector, offset,
                                                                fmt::format("{:02x}", fmt::join(code, "")),
                                                                disassemble(cpu, code, offset)));
}

void trace_event(Cpu& cpu, const Event& event) {
    const VcpuConfig& config = cpu.config();
    const bool exception = event.kind == Cpu::EventKind::exception;
    if (!(exception ? config.trace.exceptions : config.trace.interrupts)) {
        return;
    }
    std::string line;
    if (exception) {
        line = fmt::format("exception {} at {}", name_of(event.vector), place_of(cpu));
        if (pushes_error_code(event)) {
            line += fmt::format(" error {:#x}", event.error_code);
        }
        if (event.vector == static_cast<std::uint8_t>(x86::Vector::page_fault)) {
            line += fmt::format(" cr2 {:#x}", cpu.system.cr2);
        }
    } else {
        const auto kind = event.kind == Cpu::EventKind::external ? "external"
                          : event.kind == Cpu::EventKind::nmi    ? "nmi"
                                                                 : "software";
        line = fmt::format("interrupt {:#04x} {} at {}", event.vector, kind, place_of(cpu));
    }
    config.trace_sink->trace(config.id, line);
}

} // namespace strata::cpu::interpreter
