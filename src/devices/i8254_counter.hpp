// One counter of an 8254, as a function of time: nothing runs between accesses. Intel 8254 datasheet
// (231164-005), "Mode Definitions".
#pragma once

#include "base/state_visitor.hpp"

#include <cstdint>
#include <optional>

namespace strata::devices {

// Times are in ticks of the counter's clock. Every member that takes `now` is called with times that do not
// decrease.
class I8254Counter {
public:
    // The counter's part of a control word: access 5:4, mode 3:1, BCD 0.
    void set_control(std::uint8_t control);
    void write(std::uint64_t now, std::uint8_t value);
    [[nodiscard]] std::uint8_t read(std::uint64_t now);
    void latch_count(std::uint64_t now);
    void latch_status(std::uint64_t now);
    void set_gate(std::uint64_t now, bool gate);

    [[nodiscard]] bool gate() const { return gate_; }

    [[nodiscard]] bool output(std::uint64_t now) const;
    // When the output next changes after `now`, if it does without a further access.
    [[nodiscard]] std::optional<std::uint64_t> next_change(std::uint64_t now) const;

    void reset(bool gate);
    void visit(StateVisitor& visitor);

private:
    enum class Access : std::uint8_t { latch, low, high, word };

    // Modes by what they have in common.
    [[nodiscard]] bool periodic() const { return mode_ == 2 || mode_ == 3; }

    [[nodiscard]] bool gate_starts() const { return mode_ == 1 || mode_ == 5; }

    // Where a periodic counter is: the length of the present period, and the ticks since its begin.
    struct Phase {
        std::uint32_t period;
        std::uint64_t position;
    };

    [[nodiscard]] std::uint32_t modulus() const { return bcd_ ? 10'000 : 0x10000; }

    [[nodiscard]] std::uint64_t elapsed(std::uint64_t now) const;
    [[nodiscard]] Phase phase(std::uint64_t now) const;
    [[nodiscard]] std::uint32_t count(std::uint64_t now) const; // in the counting element
    [[nodiscard]] std::uint16_t encoded_count(std::uint64_t now) const;
    [[nodiscard]] bool null_count(std::uint64_t now) const;
    void load(std::uint64_t now, std::uint16_t value);
    void start(std::uint64_t now);
    void pause(std::uint64_t now);

    std::uint8_t mode_ = 0;
    bool bcd_ = false;
    Access access_ = Access::word;
    bool gate_ = true;

    std::uint32_t reload_ = 1;  // the count register: 1 to modulus()
    std::uint32_t initial_ = 1; // what the present count began with
    std::uint64_t start_ = 0;   // when it began, while it runs
    std::uint64_t held_ = 0;    // ticks counted until the gate stopped it, while it does not
    bool loaded_ = false;       // there is a count: one was written, and triggered where the mode wants that
    bool running_ = false;
    bool waiting_ = true; // a count was written that no trigger has loaded yet (modes 1 and 5), or none was

    bool write_high_next_ = false, read_high_next_ = false;
    std::uint8_t written_low_ = 0;
    bool count_latched_ = false, status_latched_ = false;
    std::uint16_t latched_count_ = 0;
    std::uint8_t latched_status_ = 0;
};

} // namespace strata::devices
