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

    // `epoch` is the date and time, in nanoseconds since 1970 UTC, at the clock's present value; `interrupt`
    // is IRQ 8.
    Mc146818(const Environment& environment, std::int64_t epoch, InterruptLine interrupt);

    // The host's date and time, for `epoch`.
    [[nodiscard]] static std::int64_t host_time();

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

    [[nodiscard]] std::int64_t time() const; // nanoseconds since 1970
    [[nodiscard]] bool stopped() const;      // SET, or the divider is held in reset
    [[nodiscard]] bool updating() const;
    [[nodiscard]] std::uint8_t read_cell(unsigned index);
    void write_cell(unsigned index, std::uint8_t value);
    void time_to_cells();
    void cells_to_time();
    [[nodiscard]] unsigned decode(std::uint8_t value) const; // BCD or binary
    [[nodiscard]] std::uint8_t encode(unsigned value) const;
    [[nodiscard]] std::int64_t period() const; // of the periodic interrupt, in nanoseconds; 0: none
    [[nodiscard]] bool alarm_matches() const;
    void catch_up(); // sets the flags of what has happened since the last call
    void update();   // drives IRQ 8 and arms the timer

    Environment env_;
    InterruptLine interrupt_;
    EventLoop::Timer timer_;
    std::array<std::uint8_t, cell_count> cells_{};
    std::uint8_t index_ = 0;
    std::int64_t offset_;            // time() = the machine's clock + offset_
    std::int64_t last_second_;       // time(), in seconds, up to which flags are set
    std::int64_t last_period_ = 0;   // the periodic interrupt's count up to which flags are set
    std::int64_t held_fraction_ = 0; // nanoseconds within the second while stopped
};

} // namespace strata::devices
