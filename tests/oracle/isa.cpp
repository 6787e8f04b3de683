#include "isa.hpp"

#include "cpu/x86/isa_features.hpp"
#include "host_delivery.hpp"

#include <algorithm>
#include <cpuid.h>
#include <cstring>
#include <span>
#include <string>

namespace strata::oracle {

namespace {

struct Exclusion {
    ZydisMnemonic mnemonic;
    std::string_view reason;
};

constexpr std::string_view enters_kernel = "enters the host's kernel";
constexpr std::string_view changing = "its result is never the same twice";
constexpr std::string_view identity = "shows what the host is, not what it does";
constexpr std::string_view tables = "shows the host kernel's tables";

constexpr std::array exclusions{
    Exclusion{ZYDIS_MNEMONIC_SYSCALL, enters_kernel},
    Exclusion{ZYDIS_MNEMONIC_SYSENTER, enters_kernel},
    Exclusion{ZYDIS_MNEMONIC_RDTSC, changing},
    Exclusion{ZYDIS_MNEMONIC_RDTSCP, changing},
    Exclusion{ZYDIS_MNEMONIC_RDRAND, changing},
    Exclusion{ZYDIS_MNEMONIC_RDSEED, changing},
    Exclusion{ZYDIS_MNEMONIC_RDPID, changing},
    Exclusion{ZYDIS_MNEMONIC_RDPMC, "the host decides whether users may (CR4.PCE)"},
    Exclusion{ZYDIS_MNEMONIC_CPUID, identity},
    Exclusion{ZYDIS_MNEMONIC_XGETBV, identity},
    Exclusion{ZYDIS_MNEMONIC_SGDT, tables},
    Exclusion{ZYDIS_MNEMONIC_SIDT, tables},
    Exclusion{ZYDIS_MNEMONIC_SLDT, tables},
    Exclusion{ZYDIS_MNEMONIC_STR, tables},
    Exclusion{ZYDIS_MNEMONIC_SMSW, tables},
    Exclusion{ZYDIS_MNEMONIC_RDFSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
    Exclusion{ZYDIS_MNEMONIC_RDGSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
    Exclusion{ZYDIS_MNEMONIC_WRFSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
    Exclusion{ZYDIS_MNEMONIC_WRGSBASE, "the host decides whether users may (CR4.FSGSBASE)"},
};

bool is_branch(ZydisInstructionCategory category) {
    return category == ZYDIS_CATEGORY_COND_BR || category == ZYDIS_CATEGORY_UNCOND_BR ||
           category == ZYDIS_CATEGORY_CALL || category == ZYDIS_CATEGORY_RET;
}

bool has_prefix(const ZydisDecodedInstruction& instruction, std::uint8_t byte) {
    return std::ranges::any_of(std::span(instruction.raw.prefixes).first(instruction.raw.prefix_count),
                               [byte](const auto& prefix) { return prefix.value == byte; });
}

} // namespace

bool vendor_specific(const ZydisDecodedInstruction& instruction) {
    switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
        if (has_prefix(instruction, 0xF2) || has_prefix(instruction, 0xF3)) {
            return true;
        }
        break;
    case ZYDIS_MNEMONIC_NOP:
        return instruction.opcode_map == ZYDIS_OPCODE_MAP_0F &&
               instruction.opcode == 0x0D;                              // PREFETCH of a register
    case ZYDIS_MNEMONIC_MOVSXD: return instruction.operand_width == 16; // AMD reads 32 bits
    case ZYDIS_MNEMONIC_PAUSE:
        return instruction.raw.rex.B != 0; // exchanges R8 and rAX, which Zydis does not know
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS: return instruction.raw.rex.W != 0;
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ: return false;
    default: break;
    }
    if (instruction.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 || !is_branch(instruction.meta.category)) {
        return false;
    }
    return instruction.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR
               ? instruction.raw.rex.W != 0 && instruction.meta.category != ZYDIS_CATEGORY_RET
               : has_prefix(instruction, 0x66);
}

namespace {

cpu::x86::FeatureSet host_features() {
    cpu::x86::FeatureSet features;
    for (const auto& info : cpu::x86::feature_table()) {
        std::array<unsigned, 4> registers{};
        if (info.location == cpu::x86::CpuidRegister::none ||
            (__get_cpuid_count(info.leaf, info.subleaf, &registers[0], &registers[1], &registers[2],
                               &registers[3]) != 0 &&
             (registers[static_cast<std::size_t>(info.location)] >> info.bit & 1) != 0)) {
            features = features.with({info.feature});
        }
    }
    return features;
}

} // namespace

std::string_view host_vendor() {
    static const std::string name = [] {
        std::array<unsigned, 4> r{};
        __get_cpuid(0, &r[0], &r[1], &r[2], &r[3]);
        std::string text(12, ' ');
        std::memcpy(text.data(), &r[1], 4);
        std::memcpy(text.data() + 4, &r[3], 4);
        std::memcpy(text.data() + 8, &r[2], 4);
        return text;
    }();
    return name;
}

cpu::x86::Model model_like_host() {
    cpu::x86::Model model = **cpu::x86::find_model("max");
    model.vendor = host_vendor();
    if (host_features().has(cpu::x86::Feature::misalignsse)) { // an MXCSR bit, no instruction
        model.features = model.features.with({cpu::x86::Feature::misalignsse});
    }
    return model;
}

cpu::x86::Model host_model() {
    cpu::x86::Model model = model_like_host();
    model.features = host_features();
    return model;
}

std::string_view reason_to_skip(const ZydisDecodedInstruction& instruction, const cpu::x86::Model& host,
                                const cpu::x86::Model& model) {
    const auto excluded = std::ranges::find(exclusions, instruction.mnemonic, &Exclusion::mnemonic);
    if (excluded != exclusions.end()) {
        return excluded->reason;
    }
    if (const auto reason = not_delivered_by_processor(instruction.mnemonic); !reason.empty()) {
        return reason;
    }
    if (!cpu::x86::has_instruction(model, instruction)) {
        return "the model lacks it";
    }
    return cpu::x86::has_instruction(host, instruction) ? std::string_view{} : "the host lacks it";
}

bool moves_lanes_by_narrow_address(const ZydisDecodedInstruction& instruction) {
    const auto m = instruction.mnemonic;
    return instruction.address_width == 32 &&
           (m == ZYDIS_MNEMONIC_VMASKMOVPS || m == ZYDIS_MNEMONIC_VMASKMOVPD ||
            m == ZYDIS_MNEMONIC_VPMASKMOVD || m == ZYDIS_MNEMONIC_VPMASKMOVQ);
}

} // namespace strata::oracle
