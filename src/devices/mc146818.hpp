// The MC146818A real-time clock with the PC's CMOS memory. Motorola MC146818A datasheet; IBM PC/AT Technical
// Reference for the CMOS cells.
#pragma once

#include "devices/device.hpp"
#include "devices/info.hpp"

#include <array>
#include <cstdint>

namespace strata::devices {

class Mc146818 final : public Device {
public:
    static constexpr DeviceInfo info{"rtc", "MC146818A real-time clock with 128 bytes of CMOS memory"};

    // `epoch` is the date and time, in nanoseconds since 1970 UTC, at which the machine's clock is 0;
    // `interrupt` is IRQ 8.
    Mc146818(const Environment& environment, std::int64_t epoch, InterruptLine interrupt);

    // The memory sizes that firmware leaves in CMOS: RAM below and above 4 GiB, in bytes.
    void set_memory_size(std::uint64_t low, std::uint64_t high);

    [[nodiscard]] std::string_view name() const override { return info.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    static constexpr unsigned cell_count = 128;

    // The date and time as nanoseconds since 1970. It stands while the guest sets it.
    [[nodiscard]] std::int64_t time() const;
    void set_time(std::int64_t time);
    [[nodiscard]] bool stopped() const;
    [[nodiscard]] std::uint8_t read_cell(unsigned index);
    void write_cell(unsigned index, std::uint8_t value);
    void write_control(unsigned index, std::uint8_t value);
    [[nodiscard]] bool update_in_progress() const;
    void time_to_cells();
    [[nodiscard]] std::int64_t cells_to_time() const;        // in seconds
    [[nodiscard]] unsigned decode(std::uint8_t value) const; // BCD or binary
    [[nodiscard]] std::uint8_t encode(unsigned value) const;
    [[nodiscard]] unsigned decode_hour(std::uint8_t value) const; // 12 or 24 hours
    [[nodiscard]] std::uint8_t encode_hour(unsigned hour) const;
    [[nodiscard]] std::int64_t period() const; // of the periodic interrupt, in nanoseconds; 0: none
    [[nodiscard]] bool alarm_between(std::int64_t first, std::int64_t last) const; // in seconds
    void catch_up(); // sets the flags of what has happened since the last call
    void update();   // drives IRQ 8 and arms the timer

    Environment env_;
    InterruptLine interrupt_;
    EventLoop::Timer timer_;
    std::array<std::uint8_t, cell_count> cells_{};
    std::uint8_t index_ = 0;
    std::int64_t offset_;          // time() less the machine's clock, while it runs
    std::int64_t held_ = 0;        // time() while it stands
    std::int64_t seen_second_ = 0; // up to which flags are set
    std::int64_t seen_period_ = 0; // likewise, in periods of the periodic interrupt
    bool asserted_ = false;        // IRQ 8
};

} // namespace strata::devices
