// What a monitor taken over by its guest can still do: tried in a child process that is confined.
#include "vm/confinement.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <linux/bpf.h>
#include <linux/kvm.h>
#include <netinet/in.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <thread>
#include <unistd.h>

namespace strata::vm {
namespace {

using Attempt = std::function<long()>; // below 0: errno says why not

// The errno of the attempt in a confined child; 0: it succeeded.
int outcome(const Attempt& attempt, const Confinement& confinement = {}) {
    const pid_t child = fork();
    if (child == 0) {
        const bool confined = confine(confinement).has_value();
        errno = 0;
        const long result = confined ? attempt() : -1;
        _exit(!confined ? 255 : result < 0 ? errno : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

long map(int protection) {
    void* const mapping = mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mapping == MAP_FAILED ? -1 : 0;
}

long make_executable() {
    void* const mapping = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(mapping, 4096, PROT_READ | PROT_EXEC);
}

long open_file(const char* path, int flags) { return open(path, flags, 0600); }

struct Case {
    const char* name;
    long (*attempt)();
};

void PrintTo(const Case& shown, std::ostream* to) { *to << shown.name; }

class Refused : public testing::TestWithParam<Case> {};

TEST_P(Refused, ByTheFilter) {
    EXPECT_EQ(outcome(GetParam().attempt), EPERM);
    EXPECT_EQ(outcome(GetParam().attempt, {.generates_code = false}), EPERM);
}

INSTANTIATE_TEST_SUITE_P(
    SystemCalls, Refused,
    testing::Values(
        Case{"RunningAProgram", [] { return static_cast<long>(execl("/bin/true", "true", nullptr)); }},
        Case{"AnotherProcess", [] { return syscall(SYS_fork); }},
        Case{"AProcessByClone", [] { return syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0); }},
        Case{"SignallingAnother", [] { return static_cast<long>(kill(getppid(), 0)); }},
        Case{"SignallingAnothersThread", [] { return syscall(SYS_tgkill, getppid(), getppid(), 0); }},
        Case{"Tracing", [] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
        Case{"ReadingAnothersMemory",
             [] { return syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0); }},
        Case{"WritingAFile", [] { return open_file("/dev/null", O_WRONLY); }},
        Case{"MakingAFile", [] { return open_file("confined", O_RDONLY | O_CREAT); }},
        Case{"Renaming", [] { return syscall(SYS_rename, "a", "b"); }},
        Case{"ChangingOwners", [] { return syscall(SYS_chown, "a", 0, 0); }},
        Case{"WritableCode", [] { return map(PROT_READ | PROT_WRITE | PROT_EXEC); }},
        Case{"DataMadeCode", [] { return make_executable(); }},
        Case{"LocalServices", [] { return static_cast<long>(socket(AF_UNIX, SOCK_STREAM, 0)); }},
        Case{"Netlink", [] { return static_cast<long>(socket(AF_NETLINK, SOCK_RAW, 0)); }},
        Case{"RawFrames", [] { return static_cast<long>(socket(AF_PACKET, SOCK_RAW, 0)); }},
        Case{"TypingIntoTheTerminal", [] { return static_cast<long>(ioctl(STDIN_FILENO, TIOCSTI, "x")); }},
        Case{"Mounting", [] { return static_cast<long>(mount("none", "/mnt", "tmpfs", 0, nullptr)); }},
        Case{"OtherNamespaces", [] { return static_cast<long>(unshare(CLONE_NEWUSER)); }},
        Case{"LoadingBpf", [] { return syscall(SYS_bpf, BPF_MAP_CREATE, nullptr, 0); }},
        Case{"IoUring", [] { return syscall(SYS_io_uring_setup, 1, nullptr); }},
        Case{"ChangingUser", [] { return syscall(SYS_setuid, 0); }}),
    [](const auto& test) { return test.param.name; });

TEST(Confinement, OnlyATranslatorMapsCode) {
    const auto map_code = [] { return map(PROT_READ | PROT_EXEC); };
    EXPECT_EQ(outcome(map_code, {.generates_code = true}), 0);
    EXPECT_EQ(outcome(map_code, {.generates_code = false}), EPERM);
}

TEST(Confinement, OnlyKvmsEngineMakesItsRequests) {
    const auto request = [] { return long{ioctl(STDIN_FILENO, KVM_RUN, 0)}; };
    EXPECT_EQ(outcome(request), EPERM);
    EXPECT_EQ(outcome(request, {.kvm = true}), ENOTTY) << "as the kernel says of what is no vCPU";
}

TEST(Confinement, LeavesWhatARunningMachineNeeds) {
    EXPECT_EQ(outcome([] { return map(PROT_READ | PROT_WRITE); }), 0);
    EXPECT_EQ(outcome([] { return open_file("/dev/null", O_RDONLY | O_CLOEXEC); }), 0);
    EXPECT_EQ(outcome([] { return long{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}; }), 0);
    EXPECT_EQ(outcome([] {
                  int done = 0;
                  std::thread([&done] { done = 1; }).join();
                  return long{done - 1};
              }),
              0);
}

// Its socket is made before; clients come and go, and its name is removed in the end.
TEST(Confinement, LeavesWhatTheControlSocketNeeds) {
    const std::string path = testing::TempDir() + "confinement.sock";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    unlink(path.c_str());
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
              client = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    ASSERT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(outcome([&] {
                  const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
                  char byte = 'x';
                  const bool talked = connection >= 0 && send(connection, &byte, 1, MSG_NOSIGNAL) == 1 &&
                                      recv(client, &byte, 1, 0) == 1 && close(connection) == 0;
                  return talked && unlink(path.c_str()) == 0 ? 0L : -1L;
              }),
              0);
    close(client);
    close(listener);
}

TEST(Confinement, ThreadsThatRunAlreadyAreConfinedToo) {
    EXPECT_EQ(outcome([] { return 0L; }), 0);
    const pid_t child = fork();
    if (child == 0) {
        int ready[2], result = 0;
        if (pipe(ready) != 0) {
            _exit(255);
        }
        std::thread earlier([&] {
            char byte = 0;
            static_cast<void>(!read(ready[0], &byte, 1));
            result = syscall(SYS_fork) < 0 ? errno : 0;
        });
        const bool confined = confine({}).has_value();
        static_cast<void>(!write(ready[1], "x", 1));
        earlier.join();
        _exit(confined ? result : 255);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), EPERM);
}

TEST(Confinement, AnAbortStillEndsTheProcess) {
    EXPECT_EQ(outcome([]() -> long { abort(); }), -SIGABRT);
}

} // namespace
} // namespace strata::vm
