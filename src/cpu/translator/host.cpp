#include "cpu/translator/host.hpp"

#include <cpuid.h>

namespace strata::cpu::translator {

namespace {

using x86::Feature;

bool host_shows(const x86::FeatureInfo& info) {
    if (info.location == x86::CpuidRegister::none) {
        return true; // what every processor with AVX has
    }
    std::array<unsigned, 4> registers{};
    if (__get_cpuid_count(info.leaf, info.subleaf, &registers[0], &registers[1], &registers[2],
                          &registers[3]) == 0) {
        return false;
    }
    return (registers[static_cast<std::size_t>(info.location)] >> info.bit & 1) != 0;
}

x86::Model make_host_model() {
    x86::Model model{};
    model.name = "host";
    for (const x86::FeatureInfo& info : x86::feature_table()) {
        if (host_shows(info)) {
            model.features = model.features.with({info.feature});
        }
    }
    return model;
}

} // namespace

const x86::Model& host_model() {
    static const x86::Model model = make_host_model();
    return model;
}

std::string unavailable() {
    const x86::Model& host = host_model();
    for (const Feature needed : {Feature::lm, Feature::lahf_lm, Feature::avx, Feature::avx2, Feature::bmi1,
                                 Feature::bmi2, Feature::adx}) {
        if (!host.has(needed)) {
            return "the host's processor lacks " + std::string(x86::feature_name(needed));
        }
    }
    if (!__builtin_cpu_supports("avx2")) {
        return "the host's operating system does not keep AVX registers";
    }
    return {};
}

} // namespace strata::cpu::translator
