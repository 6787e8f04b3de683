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
}

Interruption::~Interruption() { end(); }

void Interruption::watch(Machine& machine) {
    thread_ = std::thread([this, &machine] { wait(machine); });
}

void Interruption::wait(Machine& machine) const {
    int number = 0;
    if (sigwait(&signals_, &number) != 0 || number == wake_up) {
        return;
    }
    machine.press_power_button();
    constexpr timespec grace{.tv_sec = 10, .tv_nsec = 0};
    const int next =
        number == SIGINT ? sigwaitinfo(&signals_, nullptr) : sigtimedwait(&signals_, nullptr, &grace);
    if (next != wake_up) {
        machine.stop();
    }
}

void Interruption::end() {
    if (thread_.joinable()) {
        pthread_kill(thread_.native_handle(), wake_up);
        thread_.join();
    }
}

} // namespace strata::cli
