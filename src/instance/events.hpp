// What happened to the instances of this host, for those who watch: a table of the state, of which the newest
// some ten thousand rows are kept. Whoever does something records it; when that fails, it is done
// nevertheless.
#pragma once

#include "instance/instances.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace strata::instance {

struct Event {
    std::int64_t sequence = 0; // grows with each event
    std::int64_t time = 0;     // nanoseconds since 1970
    std::string type{};        // "container", "image", "network" or "volume"
    std::string action{};      // "start", "die", …
    std::string subject{};     // an ID, or the name of a volume or an image
    std::map<std::string, std::string> attributes{};
};

using Attributes = std::map<std::string, std::string>;

// Of a container: its name, image and labels are added to the attributes.
void record_event(const Database& database, const Instance& instance, const char* action,
                  Attributes attributes = {});
void record_volume_event(const Database& database, const std::string& volume, const char* action);
// Of a network by its ID.
void record_network_event(const Database& database, const std::string& network, const char* action,
                          Attributes attributes);
// Of an image: the reference that the user named.
void record_image_event(const Database& database, const std::string& image, const char* action);

// Those after an event, in order.
[[nodiscard]] Result<std::vector<Event>> events_after(const Database& database, std::int64_t sequence);
// The newest event's number; 0 when there is none.
[[nodiscard]] Result<std::int64_t> newest_event(const Database& database);

} // namespace strata::instance
