#include "vm/confinement.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <span>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

namespace strata::vm {
namespace {

// Allowed with any arguments, by what needs them.
constexpr std::array free_calls{
    // threads and signals
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
    SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list), SCMP_SYS(sigaltstack),
    // memory; mapping and protecting it is among the conditions below
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(memfd_create), SCMP_SYS(mremap), SCMP_SYS(munmap),
    // time and events
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2),
    SCMP_SYS(getrandom), SCMP_SYS(nanosleep), SCMP_SYS(poll), SCMP_SYS(ppoll),
    // disks, consoles, traces: files that are open already
    SCMP_SYS(close), SCMP_SYS(fallocate), SCMP_SYS(fcntl), SCMP_SYS(fdatasync), SCMP_SYS(fstat),
    SCMP_SYS(fsync), SCMP_SYS(ftruncate), SCMP_SYS(lseek), SCMP_SYS(newfstatat), SCMP_SYS(pread64),
    SCMP_SYS(preadv), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(statx),
    SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(unlink), // the name of a socket that a console or the debugger listened at
    // the guest's connections, GDB's and the consoles'; making sockets is below
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(getpeername),
    SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(listen), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown)};

// Allowed if an argument, masked, has this value.
struct Condition {
    int call;
    unsigned argument;
    std::uint64_t mask, value;
};

constexpr std::uint64_t low_word = 0xFFFF'FFFF; // all that the kernel looks at

constexpr std::array conditions{
    Condition{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    Condition{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    Condition{SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
    // kernels are read again when the guest resets itself
    Condition{SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
    Condition{SCMP_SYS(prctl), 0, low_word, PR_SET_NAME},
    Condition{SCMP_SYS(socket), 0, low_word, AF_INET},
    Condition{SCMP_SYS(socket), 0, low_word, AF_INET6},
    Condition{SCMP_SYS(ioctl), 1, low_word, TCGETS},
    Condition{SCMP_SYS(ioctl), 1, low_word, TCSETS},
    Condition{SCMP_SYS(ioctl), 1, low_word, TCSETSW},
    Condition{SCMP_SYS(ioctl), 1, low_word, TCSETSF},
    Condition{SCMP_SYS(ioctl), 1, low_word, TIOCGWINSZ},
    Condition{SCMP_SYS(ioctl), 1, low_word, FIONREAD},
    Condition{SCMP_SYS(ioctl), 1, low_word, FIONBIO},
    Condition{SCMP_SYS(ioctl), 1, low_word, BLKDISCARD},
};

// What a translator writes by one mapping and executes by another.
constexpr Condition executable_mapping{SCMP_SYS(mmap), 2, PROT_EXEC | PROT_WRITE, PROT_EXEC};

// All requests of KVM's, by the number that they have in common. Which of the process's descriptors are
// KVM's, the kernel sees: others refuse them.
constexpr Condition kvm_request{SCMP_SYS(ioctl), 1, 0xFF00, KVMIO << 8};

class Filter {
public:
    Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), &seccomp_release) {
        failed_ = context_ ? 0 : -ENOMEM;
    }

    void allow(int call) { add(SCMP_ACT_ALLOW, call, {}); }

    void allow(const Condition& condition) {
        const scmp_arg_cmp comparison{.arg = condition.argument,
                                      .op = SCMP_CMP_MASKED_EQ,
                                      .datum_a = condition.mask,
                                      .datum_b = condition.value};
        add(SCMP_ACT_ALLOW, condition.call, {&comparison, 1});
    }

    // As if the kernel did not know it, so that the C library takes another.
    void hide(int call) { add(SCMP_ACT_ERRNO(ENOSYS), call, {}); }

    // Of all threads. 0, or a negative errno; also of anything before.
    [[nodiscard]] int load() {
        note(seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1));
        return failed_ != 0 ? failed_ : seccomp_load(context_.get());
    }

private:
    void note(int status) { failed_ = failed_ != 0 ? failed_ : status; }

    void add(std::uint32_t action, int call, std::span<const scmp_arg_cmp> comparisons) {
        note(seccomp_rule_add_array(context_.get(), action, call, static_cast<unsigned>(comparisons.size()),
                                    comparisons.data()));
    }

    std::unique_ptr<void, decltype(&seccomp_release)> context_;
    int failed_ = 0;
};

} // namespace

Result<void> confine(const Confinement& confinement) {
    Filter filter;
    for (const int call : free_calls) {
        filter.allow(call);
    }
    for (const Condition& condition : conditions) {
        filter.allow(condition);
    }
    if (confinement.generates_code) {
        filter.allow(executable_mapping);
    }
    if (confinement.kvm) {
        filter.allow(kvm_request);
    }
    // Signals only to itself, as abort(), the restoring of the terminal and KVM's engine send them.
    filter.allow({SCMP_SYS(tgkill), 0, low_word, static_cast<std::uint64_t>(::getpid())});
    filter.hide(SCMP_SYS(clone3)); // its flags are in memory, where a filter cannot look
    if (const int status = filter.load(); status != 0) {
        return fail_errno("confine", "the monitor to the system calls it needs (seccomp)", -status,
                          "where the host forbids filters: --unconfined");
    }
    return {};
}

} // namespace strata::vm
