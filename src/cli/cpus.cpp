// strata cpus [MODEL]
#include "cli/commands.hpp"
#include "cpu/x86/model.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>

namespace strata::cli {
namespace {

void list_models() {
    for (const auto& model : cpu::x86::models()) {
        fmt::print("{:<14}{}\n", model.name, model.description);
    }
}

std::string flags_of(const cpu::x86::Model& model) {
    std::string text;
    for (std::size_t i = 0; i < static_cast<std::size_t>(cpu::x86::Feature::count); ++i) {
        const auto feature = static_cast<cpu::x86::Feature>(i);
        if (model.has(feature)) {
            text.append(text.empty() ? "" : " ").append(cpu::x86::feature_name(feature));
        }
    }
    return text;
}

void show_model(const cpu::x86::Model& model) {
    fmt::print("name         {}\n", model.name);
    fmt::print("description  {}\n", model.description);
    fmt::print("vendor       {}\n", model.vendor);
    if (!model.brand.empty()) {
        fmt::print("brand        {}\n", model.brand);
    }
    fmt::print("family       {}, model {}, stepping {}\n", model.family, model.model, model.stepping);
    fmt::print("addresses    {} bits physical, {} linear\n", model.physical_address_bits,
               model.linear_address_bits);
    fmt::print("flags        {}\n", flags_of(model));
}

} // namespace

void add_cpus(CLI::App& root, Outcome& outcome) {
    auto* command = root.add_subcommand("cpus", "List the CPU models, or show one with its flags");
    auto name = std::make_shared<std::string>();
    command->add_option("MODEL", *name, "The model to show");
    command->footer("Examples:\n  strata cpus\n  strata cpus k6-2");
    command->callback([name, &outcome] {
        if (name->empty()) {
            list_models();
            return;
        }
        const auto model = cpu::x86::find_model(*name);
        if (model) {
            show_model(**model);
        } else {
            outcome.status = report(model.error(), bad_argument);
        }
    });
}

} // namespace strata::cli
