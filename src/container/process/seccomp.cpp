#include "container/process/seccomp.hpp"

#include "container/kernel/system_calls.hpp"
#include "container/process/general_filter.hpp"
#include "container/process/plain_filter.hpp"

#include <algorithm>
#include <linux/seccomp.h>

namespace strata::container {
namespace {

constexpr std::pair<std::string_view, unsigned> known_flags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0}, // there is one thread when the filter is loaded
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1U << 5},
};

Result<unsigned> parse_flags(const Seccomp& seccomp) {
    unsigned flags = 0;
    for (const auto& name : seccomp.flags) {
        const auto* row = std::ranges::find(known_flags, name, &std::pair<std::string_view, unsigned>::first);
        if (row == std::end(known_flags)) {
            return fail("config.json: linux.seccomp.flags has '" + name + "', which is not known");
        }
        flags |= row->second;
    }
    return flags;
}

} // namespace

Result<SeccompProgram> compile_seccomp(const Seccomp& seccomp) {
    const auto flags = parse_flags(seccomp);
    if (!flags) {
        return std::unexpected(flags.error());
    }
    auto instructions = compile_plain_filter(seccomp);
    if (!instructions) {
        auto general = compile_general_filter(seccomp);
        if (!general) {
            return std::unexpected(general.error());
        }
        instructions = std::move(*general);
    }
    return SeccompProgram{
        .instructions = std::move(*instructions), .flags = *flags, .notifies = seccomp.notifies()};
}

Result<FileDescriptor> load_seccomp(const SeccompProgram& program) {
    sock_fprog bpf{.len = static_cast<unsigned short>(program.instructions.size()),
                   .filter = const_cast<sock_filter*>(program.instructions.data())};
    unsigned flags = program.flags;
    if (program.notifies) {
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    }
    const long status = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &bpf);
    if (status < 0) {
        return fail_errno("load", "the seccomp filter");
    }
    return program.notifies ? FileDescriptor(static_cast<int>(status)) : FileDescriptor();
}

} // namespace strata::container
