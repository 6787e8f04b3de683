// The PC's way of reporting x87 errors to software that wants no exception 16: FERR# becomes IRQ 13, and a
// write to port 0xF0 takes it back. IBM PC/AT Technical Reference, "Coprocessor controls".
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

namespace strata::devices {

class CoprocessorError final : public Device {
public:
    static constexpr DeviceInfo info{"ferr", "x87 errors as an interrupt, cleared by port 0xF0"};

    explicit CoprocessorError(InterruptLine interrupt) : interrupt_(std::move(interrupt)) {}

    // FERR# went low.
    void raise() { set(true); }

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override {
        return {{"ferr", Space::port, 0xF0, 2, 1, 1}};
    }

    std::uint64_t read(unsigned, std::uint64_t, unsigned) override { return 0xFF; }

    // 0xF0 clears the error, 0xF1 resets the coprocessor of the 286's days; both end the interrupt.
    void write(unsigned, std::uint64_t, unsigned, std::uint64_t) override { set(false); }

    void reset() override { set(false); }

    void visit(StateVisitor& visitor) override {
        visitor.field("asserted", asserted_);
        if (visitor.loading()) {
            interrupt_(asserted_);
        }
    }

private:
    void set(bool asserted) {
        asserted_ = asserted;
        interrupt_(asserted);
    }

    InterruptLine interrupt_;
    bool asserted_ = false;
};

} // namespace strata::devices
