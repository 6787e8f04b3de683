#include "vm/config_check.hpp"

#include "base/error.hpp"
#include "base/suggestion.hpp"
#include "cpu/engine.hpp"
#include "cpu/x86/model_changes.hpp"
#include "machine/boards/board.hpp"
#include "vm/file_conflicts.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <vector>

namespace strata::vm {
namespace {

constexpr unsigned max_cpus = 64;
constexpr unsigned max_instruction_shift = 10;
constexpr std::uint64_t mib = 1 << 20;
constexpr std::uint64_t min_memory = 1 * mib, max_memory = std::uint64_t{1} << 40;

} // namespace

Result<void> check_engine(std::string_view name, bool automatic) {
    std::vector<std::string_view> known;
    if (automatic) {
        known.push_back("auto");
    }
    std::ranges::transform(cpu::engines(), std::back_inserter(known), &cpu::EngineInfo::name);
    if (std::ranges::find(known, name) == known.end()) {
        return fail(fmt::format("unknown engine '{}'", name),
                    unknown_word_hint(name, known, "known engines"));
    }
    return {};
}

namespace {

Result<void> check_counting(const MachineConfig& config) {
    if (*config.instruction_shift > max_instruction_shift) {
        return fail(fmt::format("--icount: an instruction of 2^{} nanoseconds is not possible",
                                *config.instruction_shift),
                    fmt::format("from 0 to {}", max_instruction_shift));
    }
    if (config.cpus > 1) {
        return fail("instructions can be counted of one CPU only", "leave --cpus out, or --icount");
    }
    const auto engines = cpu::engines();
    const auto engine = std::ranges::find(engines, config.engine, &cpu::EngineInfo::name);
    if (engine != engines.end() && !engine->counts) {
        return fail(fmt::format("engine {} does not count instructions", config.engine),
                    "--icount goes with --engine translator or interpreter");
    }
    return {};
}

} // namespace

Result<void> check_config(const MachineConfig& config) {
    if (config.kernel.empty()) {
        return fail("no kernel to boot", "give one with --kernel");
    }
    if (config.cpus < 1 || config.cpus > max_cpus) {
        return fail(fmt::format("{} virtual CPUs: from 1 to {} are possible", config.cpus, max_cpus));
    }
    if (config.memory < min_memory || config.memory > max_memory) {
        return fail(fmt::format("{} bytes of memory: from 1M to 1T are possible", config.memory),
                    "sizes may end in K, M, G or T, as in --memory 512M");
    }
    if (config.memory % memory::page_size != 0) {
        return fail(fmt::format("{} bytes of memory are not a multiple of 4K", config.memory));
    }
    const auto model = cpu::x86::parse_model(config.cpu);
    if (!model) {
        return std::unexpected(model.error());
    }
    if (auto known = check_engine(config.engine, true); !known) {
        return known;
    }
    if (config.cpus > 1 && !model->has(cpu::x86::Feature::apic)) {
        return fail(
            fmt::format("the CPU model {} has no local APIC, so there can be one CPU only", config.cpu),
            "choose a later --cpu, from pentium on");
    }
    if (config.instruction_shift) {
        if (auto counts = check_counting(config); !counts) {
            return counts;
        }
    }
    const bool decided = config.engine != "auto";
    if (!config.translation_cache.empty() && decided && !cpu::translates(config.engine)) {
        return fail(
            fmt::format("engine {} translates nothing that --translation-cache could keep", config.engine),
            "it goes with --engine translator");
    }
    if (const auto board = machine::find_board(config.board); !board) {
        return std::unexpected(board.error());
    }
    return check_file_conflicts(config);
}

} // namespace strata::vm
