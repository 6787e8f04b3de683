#include "instance/events.hpp"

#include "base/wall_clock.hpp"

#include <nlohmann/json.hpp>

namespace strata::instance {
namespace {

constexpr std::int64_t kept = 10'000, swept_at_once = 256;

void record(const Database& database, const char* type, const char* action, const std::string& subject,
            const Attributes& attributes) {
    const auto text =
        nlohmann::json(attributes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    auto inserted = database.prepare("INSERT INTO events (time, type, action, subject, attributes) "
                                     "VALUES (?, ?, ?, ?, ?) RETURNING sequence");
    const auto row =
        inserted.bind(nanoseconds_since_1970()).bind(type).bind(action).bind(subject).bind(text).step();
    const auto sequence = row && *row ? inserted.number() : 0;
    static_cast<void>(inserted.step()); // to its end, which commits it
    if (sequence % swept_at_once == 0) {
        static_cast<void>(
            database.prepare("DELETE FROM events WHERE sequence <= ?").bind(sequence - kept).run());
    }
}

} // namespace

void record_event(const Database& database, const Instance& instance, const char* action,
                  Attributes attributes) {
    attributes.insert(instance.settings.labels.begin(), instance.settings.labels.end());
    attributes["name"] = instance.name;
    attributes["image"] =
        instance.settings.rootfs.empty() ? instance.settings.image : instance.settings.rootfs;
    record(database, "container", action, instance.id, attributes);
}

void record_volume_event(const Database& database, const std::string& volume, const char* action) {
    record(database, "volume", action, volume, {{"driver", "local"}});
}

void record_network_event(const Database& database, const std::string& network, const char* action,
                          Attributes attributes) {
    attributes["type"] = "bridge";
    record(database, "network", action, network, attributes);
}

void record_image_event(const Database& database, const std::string& image, const char* action) {
    record(database, "image", action, image, {{"name", image}});
}

Result<std::vector<Event>> events_after(const Database& database, std::int64_t sequence) {
    auto rows = database.prepare("SELECT sequence, time, type, action, subject, attributes FROM events "
                                 "WHERE sequence > ? ORDER BY sequence");
    rows.bind(sequence);
    return rows.all([](Statement& row) -> Result<Event> {
        Event event{.sequence = row.number(),
                    .time = row.number(),
                    .type = row.text(),
                    .action = row.text(),
                    .subject = row.text()};
        const auto attributes = nlohmann::json::parse(row.text(), nullptr, false);
        if (attributes.is_object()) {
            event.attributes = attributes.get<Attributes>();
        }
        return event;
    });
}

Result<std::int64_t> newest_event(const Database& database) {
    auto row = database.prepare("SELECT max(sequence) FROM events");
    const auto found = row.step();
    return found ? Result<std::int64_t>(row.number()) : std::unexpected(found.error());
}

} // namespace strata::instance
