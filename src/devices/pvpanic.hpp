// pvpanic: how a guest kernel says that it has panicked. QEMU documentation, docs/specs/pvpanic.
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

namespace strata::devices {

class PvPanic final : public StatelessDevice {
public:
    static constexpr DeviceInfo info{"pvpanic", "Port 0x505: the guest reports a kernel panic"};
    static constexpr std::uint16_t port = 0x505;

    explicit PvPanic(const Environment& environment) : power_(environment.power) {}

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;

private:
    PowerControl& power_;
};

} // namespace strata::devices
