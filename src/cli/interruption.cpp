#include "cli/interruption.hpp"

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
    thread_ = std::thread([this, &machine] {
        bool asked = false;
        int number = 0;
        while (sigwait(&signals_, &number) == 0 && number != wake_up) {
            if (asked) {
                machine.stop();
            } else {
                machine.press_power_button();
            }
            asked = true;
        }
    });
}

void Interruption::end() {
    if (thread_.joinable()) {
        pthread_kill(thread_.native_handle(), wake_up);
        thread_.join();
    }
}

} // namespace strata::cli
