// What users do with instances.
#pragma once

#include "instance/instances.hpp"

#include <optional>

namespace strata::instance {

// Sends the stop signal, and SIGKILL after the instance's own time or `seconds`; returns when it has ended.
// It is not started again by its restart policy. One that does not run stays as it is.
[[nodiscard]] Result<void> stop(const Instances& instances, const Instance& instance,
                                std::optional<std::int64_t> seconds);
[[nodiscard]] Result<void> kill(const Instances& instances, const Instance& instance, int signal);
[[nodiscard]] Result<void> pause(const Instances& instances, const Instance& instance, bool paused);
// Waits for the end; the exit code.
[[nodiscard]] Result<int> wait(const Instances& instances, const Instance& instance);
// With `force` also one that runs; one that waits to be started again is stopped. The volumes that it alone
// has and that have no name go, too, with `volumes`.
[[nodiscard]] Result<void> remove_instance(const Instances& instances, const Instance& instance, bool volumes,
                                           bool force = false);
// The same for one that has ended, by its monitor.
[[nodiscard]] Result<void> remove_ended(const Instances& instances, const Instance& instance, bool volumes);

// Removes those that were to be removed at their end, and whose monitor was killed before it, or `run` before
// it started them.
void remove_abandoned(const Instances& instances);

// "SIGTERM", "TERM" or "15".
[[nodiscard]] Result<int> parse_signal(const std::string& text);

} // namespace strata::instance
