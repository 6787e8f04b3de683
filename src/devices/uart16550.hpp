// The 16550A UART: what a PC's serial ports are. National Semiconductor PC16550D datasheet.
#pragma once

#include "backends/char/char.hpp"
#include "devices/device.hpp"
#include "devices/info.hpp"
#include "devices/output_buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace strata::devices {

class Uart16550 final : public Device {
public:
    static constexpr DeviceInfo info{"serial", "16550A serial port"};

    struct Config {
        std::string name = std::string(info.name); // of this port, where there are several
        std::uint16_t base = 0x3F8;
    };

    // `backend` may be null: output is lost, nothing comes in.
    Uart16550(const Environment& environment, Config config, InterruptLine interrupt,
              backends::CharBackend* backend);
    ~Uart16550() override;

    // Hands what was written to the backend now rather than within a millisecond: call when the machine
    // stops.
    void flush() { output_.flush(); }

    [[nodiscard]] std::string_view name() const override { return config_.name; }

    [[nodiscard]] std::vector<Region> regions() const override;
    std::uint64_t read(unsigned region, std::uint64_t offset, unsigned size) override;
    void write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) override;
    void reset() override;
    void visit(StateVisitor& visitor) override;

private:
    static constexpr std::size_t fifo_size = 16;

    [[nodiscard]] std::size_t receive(std::span<const std::byte> bytes);
    void push(std::uint8_t byte);
    [[nodiscard]] std::uint8_t pop();
    void received_changed(); // the receiver's fill level
    void offer_space();      // lets the backend send what was refused before
    void clear_receiver();
    void clear_registers();
    void transmit(std::uint8_t byte);
    [[nodiscard]] std::size_t capacity() const;
    [[nodiscard]] std::size_t trigger_level() const;
    [[nodiscard]] Nanoseconds character_time() const;
    [[nodiscard]] std::uint8_t
    pending_interrupt() const; // the low bits of the interrupt identification register
    [[nodiscard]] std::uint8_t modem_lines() const;
    void update_modem();
    void update(); // drives the interrupt line
    [[nodiscard]] std::uint8_t read_interrupt_id();
    [[nodiscard]] std::uint8_t read_line_status();
    [[nodiscard]] std::uint8_t read_modem_status();
    void write_interrupt_enable(std::uint8_t value);
    void write_fifo_control(std::uint8_t value);

    const Clock& clock_;
    Config config_;
    InterruptLine interrupt_;
    backends::CharBackend* backend_;
    OutputBuffer output_;
    EventLoop::Timer timeout_timer_; // the receiver's FIFO was not read for four characters' time

    std::array<std::uint8_t, fifo_size> fifo_{};
    std::uint8_t head_ = 0, count_ = 0;
    std::uint16_t divisor_ = 12;
    std::uint8_t interrupt_enable_ = 0, fifo_control_ = 0, line_control_ = 0, modem_control_ = 0,
                 scratch_ = 0;
    std::uint8_t modem_status_ = 0; // last seen lines and their deltas
    bool overrun_ = false;
    bool transmitter_interrupt_ = false; // THRE became true and was not acknowledged
    bool timeout_ = false;
    bool refused_ = false;  // the backend has bytes that did not fit
    bool asserted_ = false; // the interrupt line
};

} // namespace strata::devices
