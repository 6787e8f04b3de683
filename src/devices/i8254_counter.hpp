// One counter of an 8254, as a function of time: nothing runs between accesses. Intel 8254 datasheet
// (231164-005), "Mode Definitions".
#pragma once

#include "devices/state_visitor.hpp"

#include <cstdint>
#include <optional>

namespace strata::devices {

// Times are in ticks of the counter's clock. Every member that takes `now` is called with times that do not
// decrease.
class I8254Counter {
public:
    // The counter's byte of a control word: access, mode, BCD.
    void set_control(std::uint64_t now, std::uint8_t control);
    void write(std::uint64_t now, std::uint8_t value);
    [[nodiscard]] std::uint8_t read(std::uint64_t now);
    void latch_count(std::uint64_t now);
    void latch_status(std::uint64_t now);
    void set_gate(std::uint64_t now, bool gate);

    [[nodiscard]] bool gate() const { return gate_; }

    [[nodiscard]] bool output(std::uint64_t now) const;
    // When output() next differs from what it is at `now`, if it does without a further access.
    [[nodiscard]] std::optional<std::uint64_t> next_change(std::uint64_t now) const;

    void reset(bool gate);
    void visit(StateVisitor& visitor);

private:
    enum class Access : std::uint8_t { latch, low, high, word };

    [[nodiscard]] std::uint32_t modulus() const { return bcd_ ? 10'000 : 0x10000; }

    [[nodiscard]] std::uint64_t elapsed(std::uint64_t now) const;
    [[nodiscard]] std::uint16_t count(std::uint64_t now) const; // as the counting element holds it
    [[nodiscard]] std::uint8_t status(std::uint64_t now) const;
    void load(std::uint64_t now, std::uint16_t value);
    void start(std::uint64_t now);

    std::uint8_t mode_ = 0;
    bool bcd_ = false;
    Access access_ = Access::word;
    bool gate_ = true;

    std::uint32_t reload_ = 0;  // the count register's value, in ticks (1 to modulus)
    std::uint32_t initial_ = 0; // what the running count began with
    std::uint64_t start_ = 0;   // when it began
    std::uint64_t held_ = 0;    // ticks already counted when the gate stopped it
    bool null_count_ = true;    // a count was written that has not been loaded yet
    bool loaded_ = false;       // the counting element has a count
    bool running_ = false;      // it counts (gate, trigger)

    bool write_high_next_ = false, read_high_next_ = false;
    std::uint8_t written_low_ = 0;
    bool count_latched_ = false, status_latched_ = false;
    std::uint16_t latched_count_ = 0;
    std::uint8_t latched_status_ = 0;
};

} // namespace strata::devices
