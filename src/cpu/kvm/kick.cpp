#include "cpu/kvm/kick.hpp"

#include <csignal>
#include <unistd.h>

namespace strata::cpu::kvm {
namespace {

constexpr int signal_number = SIGUSR2;

// With SA_RESTART, what else the thread may be doing in the kernel goes on; KVM_RUN does not.
void install_handler() {
    static const bool installed = [] {
        struct sigaction action{};
        action.sa_handler = [](int) {};
        action.sa_flags = SA_RESTART;
        return ::sigaction(signal_number, &action, nullptr) == 0;
    }();
    static_cast<void>(installed);
}

pid_t this_thread() {
    thread_local const pid_t id = [] {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signal_number);
        ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        return ::gettid();
    }();
    return id;
}

} // namespace

Kick::Kick(kvm_run& run) : run_(run) { install_handler(); }

void Kick::enter() {
    thread_.store(this_thread(), std::memory_order_relaxed);
    std::atomic_ref(run_.immediate_exit).store(0, std::memory_order_relaxed);
    in_guest_.store(true, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst); // before the caller looks at its signals
}

void Kick::leave() { in_guest_.store(false, std::memory_order_seq_cst); }

void Kick::come_back_at_once() { std::atomic_ref(run_.immediate_exit).store(1, std::memory_order_relaxed); }

void Kick::signalled() {
    std::atomic_thread_fence(std::memory_order_seq_cst); // behind the bits that were set
    if (in_guest_.load(std::memory_order_seq_cst)) {
        come_back_at_once();
        ::tgkill(::getpid(), thread_.load(std::memory_order_relaxed), signal_number);
    }
}

} // namespace strata::cpu::kvm
