#include "instance/network/helper_process.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace strata::instance {
void close_all_but(std::vector<int> kept) {
    std::ranges::sort(kept);
    unsigned next = 3;
    for (const int file : kept) {
        const auto number = static_cast<unsigned>(file);
        if (number > next) {
            syscall(SYS_close_range, next, number - 1, 0);
        }
        next = number + 1;
    }
    syscall(SYS_close_range, next, ~0U, 0);
}

void drop_privileges() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const std::array<__user_cap_data_struct, 2> none{};
    syscall(SYS_capset, &header, none.data());
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

Result<HelperProcess> HelperProcess::start(const char* name, const std::vector<int>& files,
                                           const std::function<void()>& serve) {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) {
        return fail_errno("start", name);
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, name);
        if (getppid() != parent) {
            _exit(0);
        }
        close_all_but(files); // the monitor's lock would be held on
        serve();
        _exit(1);
    }
    HelperProcess helper;
    helper.process_.reset(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
    return helper;
}

HelperProcess& HelperProcess::operator=(HelperProcess&& other) noexcept {
    if (this != &other) {
        end();
        process_ = std::move(other.process_);
    }
    return *this;
}

void HelperProcess::end() {
    if (process_) {
        syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
        process_.reset();
    }
}

} // namespace strata::instance
