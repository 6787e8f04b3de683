#include "cpu/translator/traps.hpp"

#include "cpu/translator/translator.hpp"

#include <csignal>
#include <mutex>
#include <ucontext.h>

namespace strata::cpu::translator {

namespace {

thread_local const Translator* running = nullptr;

struct sigaction previous_fpe, previous_segv;

struct sigaction& previous(int signal) { return signal == SIGFPE ? previous_fpe : previous_segv; }

void pass_on(int signal, siginfo_t* info, void* context) {
    const struct sigaction& old = previous(signal);
    if ((old.sa_flags & SA_SIGINFO) != 0) {
        old.sa_sigaction(signal, info, context);
    } else if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) {
        old.sa_handler(signal);
    } else {
        ::signal(signal, SIG_DFL); // it comes again, and ends the process as it would have
    }
}

void handle(int signal, siginfo_t* info, void* context) {
    auto& rip = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
    const std::uintptr_t handler =
        running == nullptr ? 0 : running->trap_handler(static_cast<std::uintptr_t>(rip));
    if (handler == 0) {
        pass_on(signal, info, context);
        return;
    }
    rip = static_cast<greg_t>(handler);
}

} // namespace

void install_trap_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action = {};
        action.sa_sigaction = handle;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        ::sigaction(SIGFPE, &action, &previous_fpe);
        ::sigaction(SIGSEGV, &action, &previous_segv);
    });
}

TrapScope::TrapScope(const Translator& translator) { running = &translator; }

TrapScope::~TrapScope() { running = nullptr; }

} // namespace strata::cpu::translator
