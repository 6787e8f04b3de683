// systemd's manager, of the system or of a user, over D-Bus (org.freedesktop.systemd1(5)), by sd-bus(3).
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <systemd/sd-bus.h>
#include <vector>

namespace strata::units {

// A D-Bus error's name, or none where no bus was reached, and what it says.
struct Refusal {
    std::string name, message;
};

using Answer = std::expected<std::string, Refusal>;
using Words = std::span<const std::string>;

class Systemd {
public:
    [[nodiscard]] static std::expected<Systemd, Refusal> connect(bool user);

    // Each returns when systemd is done with it, not only when it has taken it on.
    [[nodiscard]] Answer start(const std::string& unit, Words properties);
    [[nodiscard]] Answer set(const std::string& unit, Words properties);
    [[nodiscard]] Answer stop(const std::string& unit);
    [[nodiscard]] Answer attach(const std::string& unit, const std::string& pid, const std::string& group);

private:
    using Bus = std::unique_ptr<sd_bus, sd_bus* (*)(sd_bus*)>;

    explicit Systemd(Bus bus) : bus_(std::move(bus)) {}

    Answer start_once(const std::string& unit, Words properties);
    void reset_failed(const std::string& unit);

    Bus bus_;
};

} // namespace strata::units
