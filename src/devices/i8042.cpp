#include "devices/i8042.hpp"

namespace strata::devices {
namespace {

enum RegionIndex : unsigned { data_port, command_port, system_control_port };

// Status, read at port 0x64.
constexpr std::uint8_t output_full = 1 << 0, system_flag = 1 << 2, unlocked = 1 << 4;

// The command byte.
constexpr std::uint8_t command_byte_system = 1 << 2, keyboard_disabled = 1 << 4, auxiliary_disabled = 1 << 5,
                       translate = 1 << 6;

// The output port and port 0x92.
constexpr std::uint8_t not_reset = 1 << 0, gate_a20 = 1 << 1;
constexpr std::uint8_t fast_reset = 1 << 0;

enum Command : std::uint8_t {
    read_command_byte = 0x20,
    write_command_byte = 0x60,
    disable_auxiliary = 0xA7,
    enable_auxiliary = 0xA8,
    test_auxiliary = 0xA9,
    self_test = 0xAA,
    test_keyboard = 0xAB,
    disable_keyboard = 0xAD,
    enable_keyboard = 0xAE,
    read_input_port = 0xC0,
    read_output_port = 0xD0,
    write_output_port_command = 0xD1,
    write_to_auxiliary = 0xD4,
    disable_a20 = 0xDD,
    enable_a20 = 0xDF,
    pulse_output_port = 0xF0, // to 0xFF: the low four bits pulse the output port's
};

constexpr std::uint8_t self_test_passed = 0x55, test_passed = 0x00;

} // namespace

std::vector<Region> I8042::regions() const {
    return {{"i8042-data", Space::port, 0x60, 1, 1, 1},
            {"i8042-command", Space::port, 0x64, 1, 1, 1},
            {"system-control", Space::port, 0x92, 1, 1, 1}};
}

std::uint64_t I8042::read(unsigned region, std::uint64_t /*offset*/, unsigned /*size*/) {
    switch (region) {
    case data_port: status_ &= static_cast<std::uint8_t>(~output_full); return output_;
    case command_port: return status_;
    default: return system_control_;
    }
}

void I8042::write(unsigned region, std::uint64_t /*offset*/, unsigned /*size*/, std::uint64_t value) {
    const auto byte = static_cast<std::uint8_t>(value);
    switch (region) {
    case data_port: data(byte); break;
    case command_port: command(byte); break;
    default: write_system_control(byte); break;
    }
}

void I8042::answer(std::uint8_t value) {
    output_ = value;
    status_ |= output_full;
}

void I8042::command(std::uint8_t value) {
    pending_command_ = 0;
    switch (value) {
    case read_command_byte: answer(command_byte_); break;
    case disable_auxiliary: command_byte_ |= auxiliary_disabled; break;
    case enable_auxiliary: command_byte_ &= static_cast<std::uint8_t>(~auxiliary_disabled); break;
    case disable_keyboard: command_byte_ |= keyboard_disabled; break;
    case enable_keyboard: command_byte_ &= static_cast<std::uint8_t>(~keyboard_disabled); break;
    case self_test:
        status_ |= system_flag;
        answer(self_test_passed);
        break;
    case test_auxiliary:
    case test_keyboard: answer(test_passed); break;
    case read_input_port: answer(0x80); break; // the keyboard lock is open
    case read_output_port: answer(output_port_); break;
    case write_command_byte:
    case write_output_port_command:
    case write_to_auxiliary: pending_command_ = value; break;
    case disable_a20: output_port_ &= static_cast<std::uint8_t>(~gate_a20); break;
    case enable_a20: output_port_ |= gate_a20; break;
    default:
        if (value >= pulse_output_port && (value & not_reset) == 0) {
            power_.reset();
        }
        break;
    }
}

// A byte without a command before it is for the keyboard, and nobody is there to answer.
void I8042::data(std::uint8_t value) {
    switch (pending_command_) {
    case write_command_byte:
        command_byte_ = value;
        status_ = static_cast<std::uint8_t>((status_ & ~system_flag) | (value & command_byte_system));
        break;
    case write_output_port_command: write_output_port(value); break;
    default: break;
    }
    pending_command_ = 0;
}

void I8042::write_output_port(std::uint8_t value) {
    output_port_ = value;
    if ((value & not_reset) == 0) {
        power_.reset();
    }
}

void I8042::write_system_control(std::uint8_t value) {
    const bool resets = (value & fast_reset) != 0 && (system_control_ & fast_reset) == 0;
    system_control_ = value;
    if (resets) {
        power_.reset();
    }
}

// As after a passed power-on test, with A20 open. The gate is remembered only: addresses never wrap at 1 MiB.
void I8042::reset() {
    static_assert(command_byte_system == system_flag);
    status_ = system_flag | unlocked;
    output_ = 0;
    command_byte_ = command_byte_system | keyboard_disabled | auxiliary_disabled | translate;
    output_port_ = not_reset | gate_a20;
    pending_command_ = 0;
    system_control_ = gate_a20;
}

void I8042::visit(StateVisitor& visitor) {
    visitor.field("status", status_);
    visitor.field("output", output_);
    visitor.field("command_byte", command_byte_);
    visitor.field("output_port", output_port_);
    visitor.field("pending_command", pending_command_);
    visitor.field("system_control", system_control_);
}

} // namespace strata::devices
