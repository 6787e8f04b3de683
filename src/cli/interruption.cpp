#include "cli/interruption.hpp"

#include <ctime>
#include <pthread.h>

namespace strata::cli {
namespace {

constexpr int wake_up = SIGUSR1; // ends the watching thread

} // namespace

Interruption::Interruption() {
    sigemptyset(&signals_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, wake_up}) {
        sigaddset(&signals_, number);
    }
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this] { wait(); });
}

Interruption::~Interruption() { end(); }

void Interruption::watch(Machine& machine) { machine_ = &machine; }

void Interruption::wait() const {
    int number = 0;
    if (sigwait(&signals_, &number) != 0 || number == wake_up) {
        return;
    }
    Machine* const machine = machine_;
    if (machine == nullptr) { // something takes long at the start: opening files, looking up names
        sigset_t this_one;
        sigemptyset(&this_one);
        sigaddset(&this_one, number);
        raise(number); // to this thread, where it waits for the next line
        pthread_sigmask(SIG_UNBLOCK, &this_one, nullptr);
        return;
    }
    machine->press_power_button();
    constexpr timespec grace{.tv_sec = 10, .tv_nsec = 0};
    const int next =
        number == SIGINT ? sigwaitinfo(&signals_, nullptr) : sigtimedwait(&signals_, nullptr, &grace);
    if (next != wake_up) {
        machine->stop();
    }
}

void Interruption::end() {
    if (thread_.joinable()) {
        pthread_kill(thread_.native_handle(), wake_up);
        thread_.join();
    }
}

} // namespace strata::cli
