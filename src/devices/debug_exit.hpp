// The debug-exit port of operating-system test kernels: a value written ends the run with exit status
// (value << 1) | 1, as QEMU's isa-debug-exit does at ports 0xF4 and 0x501.
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

namespace strata::devices {

class DebugExit final : public StatelessDevice {
public:
    static constexpr DeviceInfo info{"debug-exit", "Port 0xF4 and 0x501: ends the run with a status"};

    explicit DebugExit(const Environment& environment) : power_(environment.power) {}

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;

private:
    PowerControl& power_;
};

} // namespace strata::devices
