#include "instance/health.hpp"

#include <nlohmann/json.hpp>

namespace strata::instance {
namespace {

constexpr std::size_t longest_log = 5;

} // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Checkup, begin, end, exit_code, output)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Health, status, failures, log)

void add_checkup(Health& health, Checkup checkup, const HealthCheck& check, bool is_starting) {
    if (checkup.exit_code == 0) {
        health.status = "healthy";
        health.failures = 0;
    } else if (health.status != "starting" || !is_starting) {
        ++health.failures;
        if (health.failures >= check.retries) {
            health.status = "unhealthy";
        }
    }
    health.log.push_back(std::move(checkup));
    if (health.log.size() > longest_log) {
        health.log.erase(health.log.begin());
    }
}

std::optional<Health> read_health(const Database& database, const std::string& id) {
    auto row = database.prepare("SELECT state FROM health WHERE instance = ?");
    if (!row.bind(id).step().value_or(false)) {
        return std::nullopt;
    }
    const auto json = nlohmann::json::parse(row.text(), nullptr, false);
    return json.is_object() ? std::optional(json.get<Health>()) : std::nullopt;
}

Result<void> save_health(const Database& database, const std::string& id, const Health& health) {
    const auto text = nlohmann::json(health).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return database.prepare("INSERT OR REPLACE INTO health (instance, state) VALUES (?, ?)")
        .bind(id)
        .bind(text)
        .run();
}

} // namespace strata::instance
