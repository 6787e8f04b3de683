// Whether a container is well: what its health check found, as Docker has it. The state keeps it beside the
// instance.
#pragma once

#include "instance/database.hpp"
#include "instance/settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace strata::instance {

// What one check found; times are nanoseconds since 1970.
struct Checkup {
    std::int64_t begin = 0, end = 0;
    int exit_code = 0; // 0: it is well; -1: the check could not be made, or took too long
    std::string output{};
};

struct Health {
    std::string status{"starting"}; // then "healthy" or "unhealthy"
    std::int64_t failures = 0;      // since it was last well
    std::vector<Checkup> log{};     // the last five, the oldest first
};

// Adds a check's finding. One that fails while the container starts says nothing.
void add_checkup(Health& health, Checkup checkup, const HealthCheck& check, bool is_starting);

// None for an instance that was never checked.
[[nodiscard]] std::optional<Health> read_health(const Database& database, const std::string& id);
[[nodiscard]] Result<void> save_health(const Database& database, const std::string& id, const Health& health);

} // namespace strata::instance
