// Port 0x80 and its neighbours: the power-on self-test code, and the DMA page registers that kernels use as a
// delay (writing 0x80) or save and restore. IBM PC/AT Technical Reference.
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

#include <array>
#include <cstdint>

namespace strata::devices {

class PostPort final : public Device {
public:
    static constexpr DeviceInfo info{"post", "Port 0x80: POST codes, and the DMA page registers beside it"};

    // The last code written, for diagnosis.
    [[nodiscard]] std::uint8_t code() const { return latches_[0]; }

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;

    void reset() override { latches_ = {}; }

    void visit(StateVisitor& visitor) override { visitor.field("latches", latches_); }

private:
    std::array<std::uint8_t, 16> latches_{};
};

} // namespace strata::devices
