// The local APIC's registers, by memory (xAPIC) and by MSR (x2APIC). SDM volume 3 sections 10.4 and 10.12.
#include "devices/irq/local_apic.hpp"

#include "base/bits.hpp"
#include "devices/irq/local_apic_bits.hpp"

#include <utility>

namespace strata::devices {
namespace {

// Registers by index: the offset in the page divided by 16, the MSR less 0x800.
enum Register : unsigned {
    id_index = 0x02,
    version_index = 0x03,
    tpr_index = 0x08,
    arbitration_index = 0x09,
    ppr_index = 0x0A,
    eoi_index = 0x0B,
    remote_read_index = 0x0C,
    logical_index = 0x0D,
    format_index = 0x0E,
    spurious_index = 0x0F,
    isr_index = 0x10,
    tmr_index = 0x18,
    irr_index = 0x20,
    error_index = 0x28,
    cmci_index = 0x2F,
    command_low_index = 0x30,
    command_high_index = 0x31,
    lvt_timer_index = 0x32,
    lvt_error_index = 0x37,
    initial_count_index = 0x38,
    current_count_index = 0x39,
    divide_index = 0x3E,
    self_ipi_index = 0x3F,
};

constexpr unsigned apic_base_msr = 0x1B, tsc_deadline_msr = 0x6E0, x2apic_msr = 0x800;

// Integrated APIC, seven LVT entries, EOI broadcasts can be suppressed.
constexpr std::uint32_t version = 0x14 | (6 << 16) | (1 << 24);

// What software may write of each LVT entry, in the order of the enumeration.
constexpr std::uint32_t lvt_vector = 0xFF, lvt_mode = 7 << 8, lvt_polarity = 1 << 13,
                        lvt_timer_mode = 3 << 17;
constexpr std::uint32_t pin_entry = lvt_vector | lvt_mode | lvt_polarity | lvt::level | lvt::masked;
constexpr std::uint32_t event_entry = lvt_vector | lvt_mode | lvt::masked;
constexpr std::array<std::uint32_t, 7> lvt_writable{lvt_vector | lvt::masked | lvt_timer_mode,
                                                    event_entry,
                                                    event_entry,
                                                    pin_entry,
                                                    pin_entry,
                                                    lvt_vector | lvt::masked,
                                                    event_entry};

constexpr std::uint32_t spurious_writable = 0x3FF | suppress_eoi_broadcast;
constexpr std::uint32_t command_writable = 0x000C'CFFF;
constexpr std::uint32_t self_shorthand = 1 << 18;

constexpr bool between(unsigned index, unsigned first, unsigned last) {
    return index >= first && index <= last;
}

// Whether x2APIC mode has the register, for reading: not those that are write-only or gone.
constexpr bool x2apic_readable(unsigned index) {
    return between(index, id_index, version_index) || index == tpr_index || index == ppr_index ||
           index == logical_index || between(index, spurious_index, error_index) || index == cmci_index ||
           index == command_low_index || between(index, lvt_timer_index, current_count_index) ||
           index == divide_index;
}

// The bits that x2APIC mode accepts in a write of the register; others are #GP. Registers not listed are
// read-only or do not exist.
constexpr std::optional<std::uint64_t> x2apic_writable(unsigned index) {
    switch (index) {
    case tpr_index:
    case self_ipi_index: return 0xFF;
    case eoi_index:
    case error_index: return 0;
    case spurious_index: return spurious_writable;
    case command_low_index: return command_writable | 0xFFFF'FFFF'0000'0000;
    case cmci_index:
    case initial_count_index:
    case divide_index: return 0xFFFF'FFFF;
    default:
        return between(index, lvt_timer_index, lvt_error_index) ? std::optional<std::uint64_t>(0xFFFF'FFFF)
                                                                : std::nullopt;
    }
}

} // namespace

std::uint32_t LocalApic::x2apic_logical_id() const {
    return (config_.id >> 4) << 16 | bit<std::uint32_t>(config_.id & 0xF);
}

std::vector<Region> LocalApic::regions() const {
    return {{"lapic", Space::memory, default_base, 0x1000, 4, 4, false}};
}

std::uint32_t LocalApic::read_register(unsigned index) {
    if (between(index, isr_index, isr_index + 7)) {
        return in_service_.word(index - isr_index);
    }
    if (between(index, tmr_index, tmr_index + 7)) {
        return level_triggered_.word(index - tmr_index);
    }
    if (between(index, irr_index, irr_index + 7)) {
        return requests_.word(index - irr_index);
    }
    if (between(index, lvt_timer_index, lvt_error_index)) {
        return lvt_[index - lvt_timer_index];
    }
    switch (index) {
    case id_index: return x2apic_mode() ? config_.id : config_.id << 24;
    case version_index: return version;
    case tpr_index: return tpr_;
    case arbitration_index:
    case ppr_index: return processor_priority();
    case logical_index: return x2apic_mode() ? x2apic_logical_id() : logical_;
    case format_index: return format_;
    case spurious_index: return spurious_;
    case error_index: return error_status_;
    case cmci_index: return lvt_[cmci];
    case command_low_index: return command_low_;
    case command_high_index: return command_high_;
    case initial_count_index: return timer_.initial_count();
    case current_count_index: return timer_.current_count();
    case divide_index: return timer_.divide();
    case eoi_index:
    case remote_read_index: return 0;
    default: raise_error(esr::illegal_register); return 0;
    }
}

void LocalApic::write_register(unsigned index, std::uint32_t value) {
    if (between(index, lvt_timer_index, lvt_error_index)) {
        write_lvt(static_cast<Lvt>(index - lvt_timer_index), value);
        return;
    }
    switch (index) {
    case tpr_index:
        tpr_ = value & 0xFF;
        update();
        break;
    case eoi_index: end_of_interrupt(); break;
    case logical_index: logical_ = value & 0xFF00'0000; break;
    case format_index: format_ = value | 0x0FFF'FFFF; break;
    case spurious_index: write_spurious(value); break;
    case error_index: error_status_ = std::exchange(error_pending_, 0U); break;
    case cmci_index: write_lvt(cmci, value); break;
    case command_low_index:
        command_low_ = value & command_writable;
        send_ipi(command_low_, x2apic_mode()
                                   ? command_high_
                                   : widen_destination(static_cast<std::uint8_t>(command_high_ >> 24)));
        break;
    case command_high_index: command_high_ = value & 0xFF00'0000; break;
    case initial_count_index: timer_.set_initial_count(value); break;
    case divide_index: timer_.set_divide(value); break;
    case id_index:
    case version_index:
    case arbitration_index:
    case ppr_index:
    case remote_read_index:
    case current_count_index: break; // read-only
    default:
        if (!between(index, isr_index, irr_index + 7)) {
            raise_error(esr::illegal_register);
        }
        break;
    }
}

void LocalApic::write_lvt(Lvt entry, std::uint32_t value) {
    value &= lvt_writable[entry];
    if ((spurious_ & software_enable) == 0) {
        value |= lvt::masked;
    }
    lvt_[entry] = value;
    if (entry == timer) {
        timer_.set_mode(static_cast<ApicTimer::Mode>(bits(value, 18, 17)));
    }
    update(); // the 8259's interrupt may come or go with LINT0's entry
}

void LocalApic::write_spurious(std::uint32_t value) {
    spurious_ = value & spurious_writable;
    if ((spurious_ & software_enable) == 0) {
        for (std::uint32_t& entry : lvt_) {
            entry |= lvt::masked;
        }
    }
    update();
}

// Memory. Registers are the first four bytes of each 16; accesses to the others are undefined.
std::uint64_t LocalApic::read(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/) {
    return offset % 16 == 0 && offset < 0x400 ? read_register(static_cast<unsigned>(offset / 16)) : 0;
}

void LocalApic::write(unsigned /*region*/, std::uint64_t offset, unsigned /*size*/, std::uint64_t value) {
    if (offset % 16 == 0 && offset < 0x400) {
        write_register(static_cast<unsigned>(offset / 16), static_cast<std::uint32_t>(value));
    }
}

// MSRs.
std::optional<std::uint64_t> LocalApic::read_msr(std::uint32_t index) {
    if (index == apic_base_msr) {
        return base_;
    }
    if (index == tsc_deadline_msr) {
        return config_.tsc_deadline ? std::optional(timer_.deadline()) : std::nullopt;
    }
    const unsigned number = index - x2apic_msr;
    if (!x2apic_mode() || !x2apic_readable(number)) {
        return std::nullopt;
    }
    const std::uint64_t low = read_register(number);
    return number == command_low_index ? low | std::uint64_t{command_high_} << 32 : low;
}

bool LocalApic::write_msr(std::uint32_t index, std::uint64_t value) {
    if (index == apic_base_msr) {
        return write_base(value);
    }
    if (index == tsc_deadline_msr) {
        if (config_.tsc_deadline) {
            timer_.set_deadline(value);
        }
        return config_.tsc_deadline;
    }
    const unsigned number = index - x2apic_msr;
    const auto writable = x2apic_writable(number);
    if (!x2apic_mode() || !writable || (value & ~*writable) != 0) {
        return false;
    }
    if (number == self_ipi_index) {
        send_ipi(static_cast<std::uint32_t>(value) | self_shorthand, 0);
        return true;
    }
    if (number == command_low_index) {
        command_high_ = static_cast<std::uint32_t>(value >> 32);
    }
    write_register(number, static_cast<std::uint32_t>(value));
    return true;
}

// Section 10.12.5: from disabled only to xAPIC mode, from xAPIC mode to x2APIC mode, from there only to
// disabled.
bool LocalApic::write_base(std::uint64_t value) {
    const std::uint64_t allowed =
        address_mask | base_enable | base_bootstrap | (config_.x2apic ? base_x2apic : 0);
    const std::uint64_t mode = value & (base_enable | base_x2apic),
                        before = base_ & (base_enable | base_x2apic);
    const bool invalid = mode == base_x2apic || (before == 0 && mode == (base_enable | base_x2apic)) ||
                         ((before & base_x2apic) != 0 && mode == base_enable);
    if ((value & ~allowed) != 0 || invalid) {
        return false;
    }
    base_ = value;
    if (mode == 0 && before != 0) {
        initialize();
    }
    command_high_ = mode == before ? command_high_ : 0;
    update();
    return true;
}

// The state after INIT, which keeps IA32_APIC_BASE and the ID (section 10.4.7.3); RESET# makes the same.
void LocalApic::initialize() {
    timer_.reset();
    tpr_ = 0;
    logical_ = 0;
    format_ = ~0U;
    spurious_ = 0xFF;
    error_status_ = error_pending_ = 0;
    command_low_ = command_high_ = 0;
    lvt_.fill(lvt::masked);
    requests_.clear_all();
    in_service_.clear_all();
    level_triggered_.clear_all();
    external_latched_ = false;
    update();
}

void LocalApic::reset() {
    base_ = default_base | base_enable | (config_.bootstrap ? base_bootstrap : 0);
    initialize();
}

LocalApic::Registers LocalApic::registers() {
    Registers state{.base = base_, .deadline = timer_.deadline()};
    for (unsigned index = 0; index < state.page.size(); ++index) {
        if (x2apic_readable(index) || between(index, isr_index, irr_index + 7) || index == format_index ||
            index == command_high_index) {
            state.page[index] = read_register(index);
        }
    }
    return state;
}

void LocalApic::set_registers(const Registers& state) {
    timer_.reset();
    const auto& page = state.page;
    base_ = state.base & (address_mask | base_enable | base_bootstrap | base_x2apic);
    tpr_ = page[tpr_index] & 0xFF;
    logical_ = x2apic_mode() ? 0 : page[logical_index] & 0xFF00'0000;
    format_ = page[format_index] | 0x0FFF'FFFF;
    spurious_ = page[spurious_index] & spurious_writable;
    error_status_ = page[error_index];
    error_pending_ = 0;
    command_low_ = page[command_low_index] & command_writable;
    command_high_ = page[command_high_index];
    for (unsigned i = 0; i < 8; ++i) {
        in_service_.set_word(i, page[isr_index + i]);
        level_triggered_.set_word(i, page[tmr_index + i]);
        requests_.set_word(i, page[irr_index + i]);
    }
    for (unsigned entry = timer; entry <= error; ++entry) {
        lvt_[entry] = page[lvt_timer_index + entry] & lvt_writable[entry];
    }
    lvt_[cmci] = page[cmci_index] & lvt_writable[cmci];
    timer_.set_divide(page[divide_index]);
    timer_.set_mode(static_cast<ApicTimer::Mode>(bits(lvt_[timer], 18, 17)));
    timer_.go_on(page[initial_count_index], page[current_count_index], state.deadline);
    update();
}

void LocalApic::set_dormant(bool dormant) {
    dormant_ = dormant;
    if (dormant) {
        timer_.reset();
    }
    update();
}

void LocalApic::visit(StateVisitor& visitor) {
    visitor.field("base", base_);
    visitor.field("tpr", tpr_);
    visitor.field("logical", logical_);
    visitor.field("format", format_);
    visitor.field("spurious", spurious_);
    visitor.field("error_status", error_status_);
    visitor.field("error_pending", error_pending_);
    visitor.field("command_low", command_low_);
    visitor.field("command_high", command_high_);
    visitor.field("lvt", lvt_);
    requests_.visit("irr", visitor);
    in_service_.visit("isr", visitor);
    level_triggered_.visit("tmr", visitor);
    visitor.field("lint", lint_);
    visitor.field("external_latched", external_latched_);
    timer_.visit(visitor);
    if (visitor.loading()) {
        asserted_ = deliverable() >= 0 || external_pending();
        target_.set_interrupt(asserted_);
    }
}

} // namespace strata::devices
