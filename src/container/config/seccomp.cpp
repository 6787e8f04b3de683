#include "container/config/sections.hpp"
#include "container/config/vocabulary.hpp"

#include <seccomp.h>

namespace strata::container {
namespace {

constexpr std::pair<std::string_view, std::uint32_t> actions[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(EPERM)},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(EPERM)},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
};

constexpr std::pair<std::string_view, std::uint32_t> architectures[] = {
    {"SCMP_ARCH_NATIVE", SCMP_ARCH_NATIVE},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
    {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
    {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
    {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
    {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},
    {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
    {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
};

constexpr std::pair<std::string_view, int> comparisons[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

// The error that ERRNO and TRACE give takes the place of the table's EPERM.
std::uint32_t with_error(std::uint32_t action, std::optional<std::uint32_t> error) {
    constexpr std::uint32_t kind = 0xFFFF'0000;
    if (!error || ((action & kind) != SCMP_ACT_ERRNO(0) && (action & kind) != SCMP_ACT_TRACE(0))) {
        return action;
    }
    return (action & kind) | (*error & 0xFFFF);
}

SyscallRule read_rule(const JsonNode& node) {
    SyscallRule rule{.names = node.at("names").strings(),
                     .action = read_word(node.at("action"), actions),
                     .error_number = read_number<std::uint32_t>(node.find("errnoRet")),
                     .args = {}};
    rule.action = with_error(rule.action, rule.error_number);
    for (const auto& arg : node.find("args").items()) {
        rule.args.push_back({.index = static_cast<unsigned>(arg.at("index").number(5)),
                             .value = arg.at("value").number(UINT64_MAX),
                             .value_two = arg.find("valueTwo").number(UINT64_MAX),
                             .comparison = read_word(arg.at("op"), comparisons)});
    }
    return rule;
}

} // namespace

namespace {

template <class Table>
std::vector<std::string_view> names_of(const Table& table) {
    std::vector<std::string_view> names;
    for (const auto& row : table) {
        names.push_back(row.first);
    }
    return names;
}

} // namespace

std::vector<std::string_view> seccomp_action_names() { return names_of(actions); }

std::vector<std::string_view> seccomp_operator_names() { return names_of(comparisons); }

std::vector<std::string_view> seccomp_architecture_names() { return names_of(architectures); }

bool Seccomp::notifies() const {
    for (const SyscallRule& rule : rules) {
        if (rule.action == SCMP_ACT_NOTIFY) {
            return true;
        }
    }
    return default_action == SCMP_ACT_NOTIFY;
}

Seccomp read_seccomp(const JsonNode& node) {
    Seccomp seccomp;
    seccomp.default_error = read_number<std::uint32_t>(node.find("defaultErrnoRet"));
    seccomp.default_action = with_error(read_word(node.at("defaultAction"), actions), seccomp.default_error);
    for (const auto& architecture : node.find("architectures").items()) {
        seccomp.architectures.push_back(read_word(architecture, architectures));
    }
    seccomp.flags = node.find("flags").strings();
    seccomp.listener_path = read_text(node.find("listenerPath"));
    seccomp.listener_metadata = node.find("listenerMetadata").string();
    for (const auto& rule : node.find("syscalls").items()) {
        seccomp.rules.push_back(read_rule(rule));
    }
    if (seccomp.notifies() && seccomp.listener_path.empty()) {
        node.find("listenerPath").refuse("is missing, and SCMP_ACT_NOTIFY needs it");
    }
    return seccomp;
}

} // namespace strata::container
