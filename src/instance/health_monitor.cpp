#include "instance/health_monitor.hpp"

#include "base/pipe.hpp"
#include "base/wall_clock.hpp"
#include "instance/bundle.hpp"
#include "instance/events.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>

namespace strata::instance {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::size_t longest_output = 4096;

} // namespace

HealthMonitor::HealthMonitor(OpenState open_state, const Runtime& runtime, const Instance& instance,
                             User user, Health health)
    : open_state_(std::move(open_state)), runtime_(runtime), instance_(instance), user_(std::move(user)),
      health_(std::move(health)), due_(started_ + nanoseconds(instance.settings.health.interval)) {
    if (const auto instances = open_state_()) {
        static_cast<void>(save_health(instances->database(), instance_.id, health_));
    }
}

int HealthMonitor::patience() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due_ - steady_clock::now()).count();
    constexpr std::int64_t longest = 3'600'000;
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, longest));
}

void HealthMonitor::work() {
    if (steady_clock::now() < due_) {
        return;
    }
    if (process_ == 0) {
        begin();
        return;
    }
    ::kill(process_, SIGKILL); // not reaped yet, so it is still that process
    const auto seconds = static_cast<double>(instance_.settings.health.timeout) / 1e9;
    finish(-1, fmt::format("the health check took longer than {} seconds", seconds));
}

void HealthMonitor::begin() {
    const auto instances = open_state_();
    const auto current =
        instances ? instances->find(instance_.id) : Result<Instance>(std::unexpected(instances.error()));
    if (!current || current->status == Status::paused) {
        due_ = steady_clock::now() + nanoseconds(instance_.settings.health.interval);
        return;
    }
    checkup_ = {.begin = nanoseconds_since_1970()};
    auto pipe = make_pipe();
    if (!pipe) {
        finish(-1, "there are no pipes");
        return;
    }
    output_ = std::move(pipe->read_end);
    fcntl(output_.get(), F_SETFL, O_NONBLOCK);
    const auto process = run(pipe->write_end.get());
    if (!process) {
        finish(-1, process.error().message);
        return;
    }
    process_ = *process;
    due_ = steady_clock::now() + nanoseconds(instance_.settings.health.timeout);
}

Result<pid_t> HealthMonitor::run(int output) const {
    const auto& test = instance_.settings.health.test;
    Execution execution;
    if (test.front() == "CMD-SHELL") {
        execution.command = {"/bin/sh", "-c", test.size() > 1 ? test[1] : ""};
    } else {
        execution.command.assign(test.begin() + 1, test.end()); // "CMD"
    }
    const auto process = exec_process(instance_, execution, user_);
    return process ? runtime_.exec(instance_.id, *process, "", {.output = output, .error = output})
                   : std::unexpected(process.error());
}

void HealthMonitor::read_output() {
    std::array<char, 4096> buffer{};
    while (output_) {
        const auto got = read(output_.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0 && errno != EINTR) {
            output_.reset();
            return;
        }
        const auto room = longest_output - std::min(longest_output, checkup_.output.size());
        checkup_.output.append(buffer.data(),
                               std::min(room, static_cast<std::size_t>(std::max<ssize_t>(got, 0))));
    }
}

void HealthMonitor::take_end(pid_t pid, int code) {
    if (process_ != 0 && pid == process_) {
        read_output();
        finish(code);
    }
}

void HealthMonitor::finish(int code, const std::string& remark) {
    process_ = 0;
    output_.reset();
    const auto& check = instance_.settings.health;
    checkup_.exit_code = code;
    checkup_.end = nanoseconds_since_1970();
    if (!remark.empty()) {
        checkup_.output = remark;
    }
    const auto before = health_.status;
    const bool is_starting = steady_clock::now() - started_ < nanoseconds(check.start_period);
    add_checkup(health_, std::move(checkup_), check, is_starting);
    save(before.c_str());
    due_ = steady_clock::now() + nanoseconds(check.interval);
}

void HealthMonitor::save(const char* before) const {
    const auto instances = open_state_();
    if (!instances) {
        return;
    }
    static_cast<void>(save_health(instances->database(), instance_.id, health_));
    if (health_.status != before) {
        record_event(instances->database(), instance_, ("health_status: " + health_.status).c_str());
    }
}

} // namespace strata::instance
