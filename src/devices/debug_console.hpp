// The debug console: a byte written to port 0xE9 (Bochs) or 0x402 (SeaBIOS, OVMF) goes to the host.
#pragma once

#include "backends/char/char.hpp"
#include "devices/device.hpp"
#include "devices/info.hpp"
#include "devices/output_buffer.hpp"

namespace strata::devices {

class DebugConsole final : public StatelessDevice {
public:
    static constexpr DeviceInfo info{"debugcon", "Debug console at ports 0xE9 and 0x402"};
    static constexpr std::uint8_t present = 0xE9; // what reading the port answers

    // `backend` may be null: output is lost.
    DebugConsole(const Environment& environment, backends::CharBackend* backend);

    // Hands what was written to the backend now rather than within a millisecond.
    void flush() { output_.flush(); }

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;

private:
    OutputBuffer output_;
};

} // namespace strata::devices
