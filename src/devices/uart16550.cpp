#include "devices/uart16550.hpp"

#include <algorithm>

namespace strata::devices {
namespace {

enum Register : unsigned {
    data,
    interrupt_enable,
    interrupt_id,
    line_control,
    modem_control,
    line_status,
    modem_status,
    scratch
};

constexpr unsigned fifo_control = interrupt_id; // when written

namespace ier {
constexpr std::uint8_t received = 1 << 0, transmitter = 1 << 1, line = 1 << 2, modem = 1 << 3, all = 0x0F;
}

// Interrupt identification, highest priority first.
namespace iir {
constexpr std::uint8_t line = 0x06, received = 0x04, timeout = 0x0C, transmitter = 0x02, modem = 0x00,
                       none = 0x01, fifo_enabled = 0xC0;
}

namespace fcr {
constexpr std::uint8_t enable = 1 << 0, clear_receiver = 1 << 1, trigger = 3 << 6;
}

namespace lcr {
constexpr std::uint8_t divisor_latch = 1 << 7, parity = 1 << 3, two_stop_bits = 1 << 2, word_length = 3;
}

namespace mcr {
constexpr std::uint8_t dtr = 1 << 0, rts = 1 << 1, out1 = 1 << 2, out2 = 1 << 3, loop = 1 << 4, all = 0x1F;
}

namespace lsr {
constexpr std::uint8_t ready = 1 << 0, overrun = 1 << 1, transmitter_empty = (1 << 5) | (1 << 6);
}

// Modem status: the lines in the upper half, what has changed of each in the lower.
namespace msr {
constexpr std::uint8_t cts = 1 << 4, dsr = 1 << 5, ri = 1 << 6, dcd = 1 << 7, lines = 0xF0, deltas = 0x0F;
}

constexpr std::uint64_t base_baud = 115'200; // at a divisor of 1

} // namespace

Uart16550::Uart16550(const Environment& environment, Config config, InterruptLine interrupt,
                     backends::CharBackend* backend)
    : clock_(environment.clock), config_(std::move(config)), interrupt_(std::move(interrupt)),
      backend_(backend), output_(environment, backend), timeout_timer_(environment.loop, [this] {
          timeout_ = count_ != 0;
          update();
      }) {
    clear_registers();
    if (backend_ != nullptr) {
        backend_->set_receiver([this](std::span<const std::byte> bytes) { return receive(bytes); });
    }
}

Uart16550::~Uart16550() {
    if (backend_ != nullptr) {
        backend_->set_receiver({});
    }
}

std::vector<Region> Uart16550::regions() const { return {{"serial", Space::port, config_.base, 8, 1, 1}}; }

std::size_t Uart16550::capacity() const { return fifo_control_ & fcr::enable ? fifo_size : 1; }

std::size_t Uart16550::trigger_level() const {
    constexpr std::array<std::size_t, 4> levels{1, 4, 8, 14};
    return fifo_control_ & fcr::enable ? levels[fifo_control_ >> 6] : 1;
}

Nanoseconds Uart16550::character_time() const {
    const unsigned stop_bits = line_control_ & lcr::two_stop_bits ? 2 : 1;
    const unsigned parity_bits = line_control_ & lcr::parity ? 1 : 0;
    const unsigned bits = 1 + 5 + (line_control_ & lcr::word_length) + parity_bits + stop_bits;
    return static_cast<Nanoseconds>(bits * 1'000'000'000ULL * std::max<unsigned>(divisor_, 1) / base_baud);
}

std::size_t Uart16550::receive(std::span<const std::byte> bytes) {
    std::size_t taken = 0;
    if ((modem_control_ & mcr::loop) == 0) {
        while (taken < bytes.size() && count_ < capacity()) {
            push(static_cast<std::uint8_t>(bytes[taken++]));
        }
    }
    refused_ = taken < bytes.size();
    if (taken != 0) {
        received_changed();
    }
    return taken;
}

void Uart16550::push(std::uint8_t byte) {
    if (count_ >= capacity()) {
        overrun_ = true; // the byte is lost
        return;
    }
    fifo_[(head_ + count_) % fifo_size] = byte;
    ++count_;
}

std::uint8_t Uart16550::pop() {
    if (count_ == 0) {
        return 0;
    }
    const std::uint8_t byte = fifo_[head_];
    head_ = static_cast<std::uint8_t>((head_ + 1U) % fifo_size);
    --count_;
    received_changed();
    offer_space();
    return byte;
}

void Uart16550::received_changed() {
    timeout_ = false;
    if (count_ != 0 && (fifo_control_ & fcr::enable) != 0) {
        timeout_timer_.arm(clock_.now() + 4 * character_time());
    } else {
        timeout_timer_.cancel();
    }
    update();
}

void Uart16550::offer_space() {
    if (refused_ && backend_ != nullptr) {
        refused_ = false;
        backend_->resume();
    }
}

void Uart16550::clear_receiver() {
    head_ = count_ = 0;
    received_changed();
    offer_space();
}

void Uart16550::transmit(std::uint8_t byte) {
    if (modem_control_ & mcr::loop) {
        push(byte);
        received_changed();
    } else {
        output_.put(byte);
    }
    // The line is as fast as the guest: the holding register is empty again at once.
    transmitter_interrupt_ = true;
    update();
}

std::uint8_t Uart16550::read_line_status() {
    const auto value = static_cast<std::uint8_t>(lsr::transmitter_empty | (count_ != 0 ? lsr::ready : 0) |
                                                 (overrun_ ? lsr::overrun : 0));
    overrun_ = false;
    update();
    return value;
}

// Outside loop mode the other end is always there and ready.
std::uint8_t Uart16550::modem_lines() const {
    if ((modem_control_ & mcr::loop) == 0) {
        return msr::cts | msr::dsr | msr::dcd;
    }
    return static_cast<std::uint8_t>(
        (modem_control_ & mcr::rts ? msr::cts : 0) | (modem_control_ & mcr::dtr ? msr::dsr : 0) |
        (modem_control_ & mcr::out1 ? msr::ri : 0) | (modem_control_ & mcr::out2 ? msr::dcd : 0));
}

void Uart16550::update_modem() {
    const std::uint8_t before = modem_status_ & msr::lines, after = modem_lines();
    auto changed = static_cast<std::uint8_t>(before ^ after);
    if ((after & msr::ri) != 0) {
        changed &= static_cast<std::uint8_t>(~msr::ri); // only its trailing edge is noted
    }
    modem_status_ = static_cast<std::uint8_t>(after | (modem_status_ & msr::deltas) | (changed >> 4));
}

std::uint8_t Uart16550::read_modem_status() {
    const std::uint8_t value = modem_status_;
    modem_status_ &= msr::lines;
    update();
    return value;
}

std::uint8_t Uart16550::pending_interrupt() const {
    if ((interrupt_enable_ & ier::line) != 0 && overrun_) {
        return iir::line;
    }
    if ((interrupt_enable_ & ier::received) != 0) {
        if (count_ >= trigger_level()) {
            return iir::received;
        }
        if (timeout_) {
            return iir::timeout;
        }
    }
    if ((interrupt_enable_ & ier::transmitter) != 0 && transmitter_interrupt_) {
        return iir::transmitter;
    }
    if ((interrupt_enable_ & ier::modem) != 0 && (modem_status_ & msr::deltas) != 0) {
        return iir::modem;
    }
    return iir::none;
}

void Uart16550::update() {
    // On a PC, OUT2 connects the interrupt to its line.
    const bool asserted = (modem_control_ & mcr::out2) != 0 && pending_interrupt() != iir::none;
    if (asserted != asserted_) {
        asserted_ = asserted;
        interrupt_(asserted);
    }
}

std::uint8_t Uart16550::read_interrupt_id() {
    const std::uint8_t pending = pending_interrupt();
    if (pending == iir::transmitter) {
        transmitter_interrupt_ = false;
        update();
    }
    return pending | ((fifo_control_ & fcr::enable) != 0 ? iir::fifo_enabled : 0);
}

std::uint64_t Uart16550::read(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/) {
    const bool latch = line_control_ & lcr::divisor_latch;
    switch (offset) {
    case data: return latch ? divisor_ & 0xFFU : pop();
    case interrupt_enable: return latch ? divisor_ >> 8U : interrupt_enable_;
    case interrupt_id: return read_interrupt_id();
    case line_control: return line_control_;
    case modem_control: return modem_control_;
    case line_status: return read_line_status();
    case modem_status: return read_modem_status();
    default: return scratch_;
    }
}

void Uart16550::write_interrupt_enable(std::uint8_t value) {
    const std::uint8_t fresh = static_cast<std::uint8_t>(value & ~interrupt_enable_);
    interrupt_enable_ = value & ier::all;
    if (fresh & ier::transmitter) {
        transmitter_interrupt_ = true; // the holding register is empty
    }
}

void Uart16550::write_fifo_control(std::uint8_t value) {
    const bool toggled = ((value ^ fifo_control_) & fcr::enable) != 0;
    fifo_control_ = value & fcr::enable ? value & (fcr::enable | fcr::trigger) : 0;
    if (toggled || (value & fcr::clear_receiver) != 0) {
        clear_receiver();
    }
}

void Uart16550::write(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/, std::uint64_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    const bool latch = line_control_ & lcr::divisor_latch;
    switch (offset) {
    case data:
        if (latch) {
            divisor_ = static_cast<std::uint16_t>((divisor_ & 0xFF00) | byte);
        } else {
            transmit(byte);
        }
        break;
    case interrupt_enable:
        if (latch) {
            divisor_ = static_cast<std::uint16_t>((divisor_ & 0x00FF) | (byte << 8));
        } else {
            write_interrupt_enable(byte);
        }
        break;
    case fifo_control: write_fifo_control(byte); break;
    case line_control: line_control_ = byte; break;
    case modem_control:
        modem_control_ = byte & mcr::all;
        update_modem();
        offer_space(); // leaving loop mode connects the receiver again
        break;
    case scratch: scratch_ = byte; break;
    default: break; // the status registers are read-only
    }
    update();
}

void Uart16550::clear_registers() {
    head_ = count_ = 0;
    divisor_ = 12; // 9600 baud
    interrupt_enable_ = fifo_control_ = line_control_ = modem_control_ = scratch_ = 0;
    modem_status_ = modem_lines();
    overrun_ = transmitter_interrupt_ = timeout_ = false;
}

void Uart16550::reset() {
    flush();
    timeout_timer_.cancel();
    clear_registers();
    update();
    offer_space();
}

void Uart16550::visit(StateVisitor& visitor) {
    visitor.field("fifo", fifo_);
    visitor.field_up_to("head", head_, fifo_size - 1);
    visitor.field_up_to("count", count_, fifo_size);
    visitor.field("divisor", divisor_);
    visitor.field("interrupt_enable", interrupt_enable_);
    visitor.field("fifo_control", fifo_control_);
    visitor.field("line_control", line_control_);
    visitor.field("modem_control", modem_control_);
    visitor.field("scratch", scratch_);
    visitor.field("modem_status", modem_status_);
    visitor.field("overrun", overrun_);
    visitor.field("transmitter_interrupt", transmitter_interrupt_);
    visitor.field("timeout", timeout_);
    if (visitor.loading()) {
        const bool timed_out = timeout_;
        received_changed(); // arms the timer
        timeout_ = timed_out;
        update();
        refused_ = true; // the backend may have been told so before the machine was saved
        offer_space();
    }
}

} // namespace strata::devices
