#include "cpu/x86/model_changes.hpp"

#include <algorithm>
#include <string>

namespace strata::cpu::x86 {
namespace {

Result<void> change(Model& model, std::string_view text) {
    const auto table = feature_table();
    const auto found = std::ranges::find(table, text.substr(text.empty() ? 0 : 1), &FeatureInfo::name);
    if (found == table.end() || (text[0] != '-' && text[0] != '+')) {
        return fail("no change of a CPU model: '" + std::string(text) + "'",
                    "write -FEATURE or +FEATURE, as in --cpu x86-64-v2,-pcid; 'strata cpus max' lists them");
    }
    if (text[0] == '-') {
        model.features = without(model.features, found->feature);
        return {};
    }
    if (!(*find_model("max"))->has(found->feature)) {
        return fail("no engine has the CPU feature " + std::string(found->name),
                    "'strata cpus max' lists what there is");
    }
    model.features = model.features.with({found->feature});
    return {};
}

} // namespace

FeatureSet without(const FeatureSet& features, Feature feature) {
    FeatureSet result;
    for (const FeatureInfo& info : feature_table()) {
        if (info.feature != feature && features.has(info.feature)) {
            result = result.with({info.feature});
        }
    }
    return result;
}

Result<Model> parse_model(std::string_view text) {
    const auto named = find_model(text.substr(0, text.find(',')));
    if (!named) {
        return std::unexpected(named.error());
    }
    Model model = **named;
    for (auto comma = text.find(','); comma != std::string_view::npos; comma = text.find(',')) {
        text.remove_prefix(comma + 1);
        if (auto changed = change(model, text.substr(0, text.find(','))); !changed) {
            return std::unexpected(changed.error());
        }
    }
    return model;
}

std::string model_text(const Model& model) {
    std::string text(model.name);
    const auto named = find_model(model.name);
    for (const FeatureInfo& info : feature_table()) {
        const bool wanted = model.has(info.feature);
        if (named && wanted != (*named)->has(info.feature)) {
            text += std::string(wanted ? ",+" : ",-") + std::string(info.name);
        }
    }
    return text;
}

} // namespace strata::cpu::x86
