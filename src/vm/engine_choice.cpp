#include "vm/engine_choice.hpp"

#include "cpu/assistance.hpp"

#include <fmt/format.h>

namespace strata::vm {
namespace {

Result<EngineChoice> try_engine(std::string_view name, memory::GuestMemory& memory, const Clock& clock,
                                const cpu::VcpuConfig& config) {
    auto engine = cpu::create_engine(name, memory, clock);
    if (!engine) {
        return std::unexpected(engine.error());
    }
    const auto model = cpu::model_for(**engine, config);
    if (!model) {
        return std::unexpected(model.error());
    }
    return EngineChoice{std::move(*engine), *model, {}};
}

} // namespace

Result<EngineChoice> choose_engine(std::string_view name, memory::GuestMemory& memory, const Clock& clock,
                                   const cpu::VcpuConfig& config) {
    if (name != "auto") {
        return try_engine(name, memory, clock, config);
    }
    std::string passed_over;
    for (const auto& info : cpu::engines()) {
        if (config.time != nullptr && !info.counts) {
            continue;
        }
        auto choice = try_engine(info.name, memory, clock, config);
        if (choice) {
            choice->passed_over =
                passed_over.empty() ? "" : fmt::format("runs on the {}: {}", info.name, passed_over);
            return choice;
        }
        const Error& error = choice.error();
        passed_over += fmt::format("{}{}{}", passed_over.empty() ? "" : "; ", error.message,
                                   error.hint.empty() ? "" : " (" + error.hint + ")");
    }
    return fail("no engine can run this machine: " + passed_over, "'strata engines' says what each needs");
}

} // namespace strata::vm
