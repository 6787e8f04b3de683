#include "container/process/general_filter.hpp"

#include "base/file_descriptor.hpp"

#include <algorithm>
#include <memory>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strata::container {
namespace {

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

Result<void> add_rule(void* filter, const SyscallRule& rule, const std::string& name) {
    const int number = ::seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) {
        return {}; // a call that this libseccomp does not know cannot be let through by name either
    }
    std::vector<scmp_arg_cmp> comparisons;
    bool repeated = false; // libseccomp takes one comparison an argument; several are rules of their own
    for (const SyscallArgument& arg : rule.args) {
        const bool masked = arg.comparison == SCMP_CMP_MASKED_EQ;
        repeated =
            repeated || std::ranges::find(comparisons, arg.index, &scmp_arg_cmp::arg) != comparisons.end();
        comparisons.push_back({.arg = arg.index,
                               .op = static_cast<scmp_compare>(arg.comparison),
                               .datum_a = arg.value,
                               .datum_b = masked ? arg.value_two : 0});
    }
    const std::size_t group = repeated ? 1 : comparisons.size();
    std::size_t first = 0;
    do {
        const int status = ::seccomp_rule_add_array(filter, rule.action, number, static_cast<unsigned>(group),
                                                    comparisons.data() + first);
        // libseccomp refuses a rule that says what the filter does anyhow.
        if (status != 0 && status != -EACCES) {
            return fail_errno("add", "the seccomp rule for " + name, -status);
        }
        first += group;
    } while (first < comparisons.size());
    return {};
}

Result<std::vector<sock_filter>> export_program(void* filter) {
    const FileDescriptor file(::memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) {
        return fail_errno("make", "memory for a seccomp filter");
    }
    if (const int status = ::seccomp_export_bpf(filter, file.get()); status != 0) {
        return fail_errno("compile", "the seccomp filter", -status);
    }
    struct stat info{};
    ::fstat(file.get(), &info);
    std::vector<sock_filter> instructions(static_cast<std::size_t>(info.st_size) / sizeof(sock_filter));
    const std::size_t size = instructions.size() * sizeof(sock_filter);
    if (::pread(file.get(), instructions.data(), size, 0) != static_cast<ssize_t>(size)) {
        return fail_errno("read", "the compiled seccomp filter");
    }
    return instructions;
}

} // namespace

Result<std::vector<sock_filter>> compile_general_filter(const Seccomp& seccomp) {
    const Filter filter(::seccomp_init(seccomp.default_action), &seccomp_release);
    if (!filter) {
        return fail("libseccomp refuses linux.seccomp.defaultAction");
    }
    for (const std::uint32_t architecture : seccomp.architectures) {
        const int status = ::seccomp_arch_add(filter.get(), architecture);
        if (status != 0 && status != -EEXIST) {
            return fail_errno("add", "an architecture of linux.seccomp.architectures", -status);
        }
    }
    ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0);
    // A binary tree of calls: what is allowed often is found soon. Older libseccomps do without.
    ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (const SyscallRule& rule : seccomp.rules) {
        if (rule.action == seccomp.default_action) {
            continue;
        }
        for (const auto& name : rule.names) {
            if (auto added = add_rule(filter.get(), rule, name); !added) {
                return std::unexpected(added.error());
            }
        }
    }
    return export_program(filter.get());
}

} // namespace strata::container
