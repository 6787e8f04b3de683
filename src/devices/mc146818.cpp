#include "devices/mc146818.hpp"

#include <algorithm>
#include <chrono>

namespace strata::devices {
namespace {

// Cells.
enum Cell : unsigned {
    seconds,
    seconds_alarm,
    minutes,
    minutes_alarm,
    hours,
    hours_alarm,
    week_day,
    month_day,
    month,
    year,
    register_a,
    register_b,
    register_c,
    register_d,
    base_memory = 0x15,
    extended_memory = 0x17,
    checksum = 0x2E,
    extended_memory_again = 0x30,
    century = 0x32,
    memory_above_16m = 0x34,
    memory_above_4g = 0x5B,
};

namespace a {
constexpr std::uint8_t in_progress = 1 << 7, divider_reset = 0x60, divider = 0x70, rate = 0x0F;
}

namespace b {
constexpr std::uint8_t set = 1 << 7, periodic = 1 << 6, alarm = 1 << 5, update_ended = 1 << 4,
                       square_wave = 1 << 3, binary = 1 << 2, hours24 = 1 << 1;
}

// Register C's flags are where register B's enables are.
namespace c {
constexpr std::uint8_t request = 1 << 7, flags = b::periodic | b::alarm | b::update_ended;
}

constexpr std::uint8_t valid_ram = 0x80; // register D
constexpr std::uint8_t afternoon = 0x80; // of an hour in 12-hour mode
constexpr std::uint8_t any_value = 0xC0; // an alarm cell with both bits set matches always
constexpr std::uint8_t nmi_mask = 0x80;  // of port 0x70: not part of the index

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t seconds_per_day = 86'400;
// From when UIP announces an update to when it is over (datasheet, table 6, 32.768 kHz).
constexpr std::int64_t update_time = 244'000 + 1'984'000;
constexpr std::int64_t restart_fraction = second / 2; // the divider's first update after its reset

constexpr int first_year = 1970, last_year = 2250; // what nanoseconds since 1970 hold

bool is_time_cell(unsigned index) {
    return index == seconds || index == minutes || index == hours || (index >= week_day && index <= year) ||
           index == century;
}

} // namespace

Mc146818::Mc146818(const Environment& environment, std::int64_t epoch, InterruptLine interrupt)
    : env_(environment), interrupt_(std::move(interrupt)), timer_(environment.loop,
                                                                  [this] {
                                                                      catch_up();
                                                                      update();
                                                                  }),
      offset_(std::clamp<std::int64_t>(epoch, 0, 8'000'000'000 * second)) {
    cells_[register_a] = 0x26; // 32.768 kHz, 1024 Hz periodic
    cells_[register_b] = b::hours24;
    cells_[register_d] = valid_ram;
    seen_second_ = time() / second;
}

void Mc146818::set_memory_size(std::uint64_t low, std::uint64_t high) {
    const auto put = [this](unsigned cell, std::uint64_t value, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i) {
            cells_[cell + i] = static_cast<std::uint8_t>(value >> (i * 8));
        }
    };
    constexpr std::uint64_t kib = 1024, mib = kib * kib, most = 0xFFFF;
    const auto above = [low](std::uint64_t limit) { return low > limit ? low - limit : 0; };
    put(base_memory, std::min(low / kib, std::uint64_t{640}), 2);
    put(extended_memory, std::min(above(mib) / kib, most), 2);
    put(extended_memory_again, std::min(above(mib) / kib, most), 2);
    put(memory_above_16m, std::min(above(16 * mib) / (64 * kib), most), 2);
    put(memory_above_4g, std::min<std::uint64_t>(high / (64 * kib), 0xFF'FFFF), 3);
    unsigned sum = 0;
    for (unsigned cell = 0x10; cell < checksum; ++cell) {
        sum += cells_[cell];
    }
    cells_[checksum] = static_cast<std::uint8_t>(sum >> 8);
    cells_[checksum + 1] = static_cast<std::uint8_t>(sum);
}

std::vector<Region> Mc146818::regions() const { return {{"rtc", Space::port, 0x70, 2, 1, 1}}; }

// Time.

bool Mc146818::stopped() const {
    return (cells_[register_b] & b::set) != 0 || (cells_[register_a] & a::divider_reset) == a::divider_reset;
}

std::int64_t Mc146818::time() const { return stopped() ? held_ : env_.clock.now() + offset_; }

void Mc146818::set_time(std::int64_t time) {
    offset_ = time - env_.clock.now();
    held_ = time;
    seen_second_ = time / second;
    seen_period_ = 0;
    if (const std::int64_t length = period(); length != 0) {
        seen_period_ = time / length;
    }
}

bool Mc146818::update_in_progress() const { return !stopped() && time() % second >= second - update_time; }

unsigned Mc146818::decode(std::uint8_t value) const {
    return (cells_[register_b] & b::binary) != 0 ? value : (value >> 4) * 10U + (value & 0xFU);
}

std::uint8_t Mc146818::encode(unsigned value) const {
    return static_cast<std::uint8_t>(
        (cells_[register_b] & b::binary) != 0 ? value : value / 10 % 10 << 4 | value % 10);
}

unsigned Mc146818::decode_hour(std::uint8_t value) const {
    if ((cells_[register_b] & b::hours24) != 0) {
        return decode(value);
    }
    return decode(value & 0x7F) % 12 + ((value & afternoon) != 0 ? 12U : 0U);
}

std::uint8_t Mc146818::encode_hour(unsigned hour) const {
    if ((cells_[register_b] & b::hours24) != 0) {
        return encode(hour);
    }
    const unsigned twelve = hour % 12 == 0 ? 12 : hour % 12;
    return encode(twelve) | (hour >= 12 ? afternoon : 0);
}

void Mc146818::time_to_cells() {
    const std::chrono::sys_seconds now{std::chrono::seconds{time() / second}};
    const auto day = std::chrono::floor<std::chrono::days>(now);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{now - day};
    const auto full_year = static_cast<unsigned>(static_cast<int>(date.year()));
    cells_[seconds] = encode(static_cast<unsigned>(clock.seconds().count()));
    cells_[minutes] = encode(static_cast<unsigned>(clock.minutes().count()));
    cells_[hours] = encode_hour(static_cast<unsigned>(clock.hours().count()));
    cells_[week_day] = encode(std::chrono::weekday{day}.c_encoding() + 1);
    cells_[month_day] = encode(static_cast<unsigned>(date.day()));
    cells_[month] = encode(static_cast<unsigned>(date.month()));
    cells_[year] = encode(full_year % 100);
    cells_[century] = encode(full_year / 100);
}

// Whatever the guest wrote there: impossible values carry over into the next larger unit.
std::int64_t Mc146818::cells_to_time() const {
    using namespace std::chrono;
    const auto full_year = static_cast<int>(decode(cells_[century]) * 100 + decode(cells_[year]));
    const std::chrono::year in_range{std::clamp(full_year, first_year, last_year)};
    const std::chrono::month in_year{std::clamp(decode(cells_[month]), 1U, 12U)};
    const sys_days first{in_range / in_year / 1};
    return (first.time_since_epoch().count() + std::int64_t{decode(cells_[month_day])} - 1) *
               seconds_per_day +
           std::int64_t{decode_hour(cells_[hours])} * 3600 + std::int64_t{decode(cells_[minutes])} * 60 +
           std::int64_t{decode(cells_[seconds])};
}

// Interrupts.

std::int64_t Mc146818::period() const {
    const unsigned rate = cells_[register_a] & a::rate;
    if (rate == 0) {
        return 0;
    }
    const unsigned shift = rate < 3 ? rate + 6 : rate - 1; // 1 and 2 are 256 and 128 Hz
    return (second << shift) / 32'768;
}

bool Mc146818::alarm_between(std::int64_t first, std::int64_t last) const {
    const auto matches = [](std::uint8_t cell, unsigned wanted, unsigned now) {
        return (cell & any_value) == any_value || wanted == now;
    };
    const unsigned second_wanted = decode(cells_[seconds_alarm]),
                   minute_wanted = decode(cells_[minutes_alarm]),
                   hour_wanted = decode_hour(cells_[hours_alarm]);
    first = std::max(first, last - seconds_per_day + 1); // it repeats daily
    for (std::int64_t moment = first; moment <= last;) {
        const auto of_day = static_cast<unsigned>(moment % seconds_per_day);
        if (!matches(cells_[hours_alarm], hour_wanted, of_day / 3600)) {
            moment += 3600 - of_day % 3600;
        } else if (!matches(cells_[minutes_alarm], minute_wanted, of_day / 60 % 60)) {
            moment += 60 - of_day % 60;
        } else if (!matches(cells_[seconds_alarm], second_wanted, of_day % 60)) {
            ++moment;
        } else {
            return true;
        }
    }
    return false;
}

void Mc146818::catch_up() {
    if (stopped()) {
        return;
    }
    const std::int64_t now = time();
    if (const std::int64_t present = now / second; present > seen_second_) {
        cells_[register_c] |= b::update_ended;
        if (alarm_between(seen_second_ + 1, present)) {
            cells_[register_c] |= b::alarm;
        }
        seen_second_ = present;
    }
    if (const std::int64_t length = period(); length != 0 && now / length != seen_period_) {
        seen_period_ = now / length;
        cells_[register_c] |= b::periodic;
    }
}

void Mc146818::update() {
    const std::uint8_t enabled = cells_[register_b] & c::flags;
    const bool asserted = (cells_[register_c] & enabled) != 0;
    cells_[register_c] =
        static_cast<std::uint8_t>((cells_[register_c] & c::flags) | (asserted ? c::request : 0));
    if (asserted != asserted_) {
        asserted_ = asserted;
        interrupt_(asserted);
    }
    // While a flag is set, its interrupt says nothing new.
    const auto awaited = static_cast<std::uint8_t>(enabled & ~cells_[register_c]);
    const std::int64_t now = time();
    std::int64_t next = 0;
    if ((awaited & (b::alarm | b::update_ended)) != 0) {
        next = (now / second + 1) * second;
    }
    if (const std::int64_t length = period(); (awaited & b::periodic) != 0 && length != 0) {
        const std::int64_t tick = (now / length + 1) * length;
        next = next == 0 ? tick : std::min(next, tick);
    }
    if (next != 0 && !stopped()) {
        timer_.arm(env_.clock.now() + (next - now));
    } else {
        timer_.cancel();
    }
}

// Registers.

std::uint8_t Mc146818::read_cell(unsigned index) {
    switch (index) {
    case register_a:
        return static_cast<std::uint8_t>(cells_[register_a] | (update_in_progress() ? a::in_progress : 0));
    case register_c: {
        catch_up();
        update();
        const std::uint8_t flags = cells_[register_c];
        cells_[register_c] = 0;
        update();
        return flags;
    }
    default:
        if (is_time_cell(index) && !stopped()) {
            time_to_cells();
        }
        return cells_[index];
    }
}

void Mc146818::write_cell(unsigned index, std::uint8_t value) {
    catch_up();
    if (index == register_a || index == register_b) {
        write_control(index, value);
    } else if (is_time_cell(index)) {
        const bool runs = !stopped();
        if (runs) {
            time_to_cells();
        }
        cells_[index] = value;
        if (runs) {
            set_time(cells_to_time() * second + time() % second);
        }
    } else if (index != register_c && index != register_d) {
        cells_[index] = value;
    }
    update();
}

void Mc146818::write_control(unsigned index, std::uint8_t value) {
    const bool stood = stopped();
    const bool divider_stood = (cells_[register_a] & a::divider_reset) == a::divider_reset;
    const std::int64_t before = time();
    if (!stood) {
        time_to_cells(); // in the present format
    }
    if (index == register_a) {
        cells_[register_a] = value & (a::divider | a::rate);
    } else {
        cells_[register_b] = value;
        if (value & b::set) {
            cells_[register_b] &= static_cast<std::uint8_t>(~b::update_ended);
        }
    }
    const bool divider_stands = (cells_[register_a] & a::divider_reset) == a::divider_reset;
    if (stopped()) {
        held_ = stood ? held_ : before;
    } else if (stood) {
        held_ = divider_stood && !divider_stands ? restart_fraction : held_ % second;
        set_time(cells_to_time() * second + held_);
    } else {
        set_time(before); // the rate may have changed
    }
}

std::uint64_t Mc146818::read(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/) {
    return offset == 0 ? 0xFF : read_cell(index_); // the index is write-only
}

void Mc146818::write(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/, std::uint64_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    if (offset == 0) {
        index_ = byte & static_cast<std::uint8_t>(~nmi_mask);
    } else {
        write_cell(index_, byte);
    }
}

// The clock and the memory have a battery; RESET# clears the interrupt enables and flags.
void Mc146818::reset() {
    catch_up();
    cells_[register_b] &= static_cast<std::uint8_t>(~(c::flags | b::square_wave));
    cells_[register_c] = 0;
    index_ = 0;
    update();
}

void Mc146818::visit(StateVisitor& visitor) {
    if (!visitor.loading()) {
        catch_up();
        update();
    }
    visitor.field("cells", cells_);
    visitor.field_up_to("index", index_, cell_count - 1);
    visitor.field("offset", offset_);
    visitor.field("held", held_);
    visitor.field("seen_second", seen_second_);
    visitor.field("seen_period", seen_period_);
    if (visitor.loading()) {
        constexpr std::int64_t most = 9'000'000'000 * second;
        if (offset_ < -most || offset_ > most || held_ < 0 || held_ > most || seen_second_ < 0) {
            offset_ = held_ = seen_second_ = 0;
            visitor.refuse("offset");
        }
        catch_up();
        update();
    }
}

} // namespace strata::devices
