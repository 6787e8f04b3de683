// The interrupt logic: requests, priorities, acknowledge, messages, local interrupts. SDM volume 3
// sections 10.5, 10.6, 10.8. The registers are in local_apic_registers.cpp.
#include "devices/irq/local_apic.hpp"

#include "base/bits.hpp"
#include "devices/irq/local_apic_bits.hpp"

#include <algorithm>

namespace strata::devices {
namespace {

constexpr unsigned priority_class(unsigned priority) { return priority & 0xF0; }

} // namespace

LocalApic::LocalApic(const Environment& environment, ApicBus& bus, InterruptTarget& target, Config config,
                     ExternalInterruptSource* external)
    : bus_(bus), target_(target), config_(std::move(config)), external_(external),
      timer_(environment, config_.timer, [this] { trigger_lvt(timer); }) {
    bus_.add(*this);
    reset();
}

// The higher of the task's and the interrupt in service (SDM 10.8.3.1).
unsigned LocalApic::processor_priority() const {
    const auto in_service = static_cast<unsigned>(std::max(in_service_.highest(), 0));
    return priority_class(tpr_) >= priority_class(in_service) ? tpr_ : priority_class(in_service);
}

int LocalApic::deliverable() const {
    const int vector = requests_.highest();
    const bool above =
        vector >= 0 && priority_class(static_cast<unsigned>(vector)) > priority_class(processor_priority());
    return above && accepts_interrupts() ? vector : -1;
}

bool LocalApic::external_pending() const {
    if (external_ == nullptr) {
        return false;
    }
    if (dormant_ || !enabled()) {
        return lint_[0]; // the pin is INTR, or the processor's own local APIC decides
    }
    const std::uint32_t entry = lvt_[lint0];
    return external_latched_ ||
           (lint_[0] && (entry & lvt::masked) == 0 && lvt::mode(entry) == DeliveryMode::external);
}

void LocalApic::update() {
    const bool asserted = external_pending() || (!dormant_ && deliverable() >= 0);
    if (asserted != asserted_) {
        asserted_ = asserted;
        target_.set_interrupt(asserted);
    }
}

std::optional<std::uint8_t> LocalApic::acknowledge() {
    std::optional<std::uint8_t> vector;
    if (external_pending()) {
        external_latched_ = false;
        vector = external_->acknowledge();
    } else if (const int request = dormant_ ? -1 : deliverable(); request >= 0) {
        vector = static_cast<std::uint8_t>(request);
        requests_.clear(*vector);
        in_service_.set(*vector);
    }
    update();
    return vector;
}

void LocalApic::set_task_priority(std::uint8_t priority) {
    tpr_ = (priority & 0xFU) << 4;
    update();
}

void LocalApic::request(std::uint8_t vector, bool level) {
    if (vector < first_legal_vector) {
        raise_error(esr::receive_illegal_vector);
        return;
    }
    requests_.set(vector);
    if (level) {
        level_triggered_.set(vector);
    } else {
        level_triggered_.clear(vector);
    }
    update();
}

void LocalApic::end_of_interrupt() {
    const int highest = in_service_.highest();
    if (highest < 0) {
        return;
    }
    const auto vector = static_cast<std::uint8_t>(highest);
    in_service_.clear(vector);
    if (level_triggered_.test(vector)) {
        if ((spurious_ & suppress_eoi_broadcast) == 0) {
            bus_.broadcast_eoi(vector);
        }
        const std::uint32_t entry = lvt_[lint0];
        if (lint_[0] && (entry & (lvt::masked | lvt::level)) == lvt::level &&
            lvt::mode(entry) == DeliveryMode::fixed && static_cast<std::uint8_t>(entry) == vector) {
            request(vector, true); // LINT0 is still asserted
        }
    }
    update();
}

bool LocalApic::matches(std::uint32_t destination, bool logical) const {
    if (!enabled()) {
        return false;
    }
    if (destination == broadcast_destination) {
        return true;
    }
    if (!logical) {
        return destination == (x2apic_mode() ? config_.id : config_.id & 0xFF);
    }
    if (x2apic_mode()) {
        const std::uint32_t logical_id = x2apic_logical_id();
        return destination >> 16 == logical_id >> 16 && (destination & logical_id & 0xFFFF) != 0;
    }
    const std::uint32_t logical_id = logical_ >> 24;
    if (destination > 0xFF) {
        return false;
    }
    if (format_ >> 28 == flat_model) {
        return (destination & logical_id) != 0;
    }
    const bool cluster = destination >> 4 == logical_id >> 4 || destination >> 4 == 0xF;
    return cluster && (destination & logical_id & 0xF) != 0;
}

bool LocalApic::accept(const InterruptMessage& message) {
    switch (message.mode) {
    case DeliveryMode::fixed:
    case DeliveryMode::lowest_priority:
        if (!accepts_interrupts()) {
            return false;
        }
        request(message.vector, message.level_triggered);
        return true;
    case DeliveryMode::smi: target_.smi(); return true;
    case DeliveryMode::nmi: target_.nmi(); return true;
    case DeliveryMode::init:
        initialize();
        target_.init();
        return true;
    case DeliveryMode::startup: target_.startup(message.vector); return true;
    case DeliveryMode::external:
        external_latched_ = external_ != nullptr;
        update();
        return true;
    default: return false;
    }
}

void LocalApic::send_ipi(std::uint32_t command, std::uint32_t destination) {
    const InterruptMessage message{.destination = destination,
                                   .logical = (command & icr::logical) != 0,
                                   .mode = static_cast<DeliveryMode>(bits(command, 10, 8)),
                                   .vector = static_cast<std::uint8_t>(command)};
    const bool has_vector =
        message.mode == DeliveryMode::fixed || message.mode == DeliveryMode::lowest_priority;
    if (has_vector && message.vector < first_legal_vector) {
        raise_error(esr::send_illegal_vector);
        return;
    }
    if (message.mode == DeliveryMode::init && (command & (icr::level | icr::assert)) == icr::level) {
        return; // INIT level de-assert: only old processors' arbitration heeded it
    }
    switch (static_cast<icr::Shorthand>(bits(command, 19, 18))) {
    case icr::Shorthand::none: bus_.deliver(message); break;
    case icr::Shorthand::self:
        if (has_vector) {
            accept(message);
        }
        break;
    case icr::Shorthand::all_including_self: bus_.deliver_to_all(message, nullptr); break;
    case icr::Shorthand::all_excluding_self: bus_.deliver_to_all(message, this); break;
    }
}

void LocalApic::set_lint(unsigned pin, bool asserted) {
    const bool rises = asserted && !lint_[pin & 1];
    lint_[pin & 1] = asserted;
    if (rises && dormant_) {
        // the pin's level is all that counts
    } else if (rises && enabled()) {
        trigger_lvt(pin == 0 ? lint0 : lint1);
    } else if (rises && pin == 1) {
        target_.nmi(); // a disabled local APIC's pins are INTR and NMI
    }
    update();
}

void LocalApic::trigger_lvt(Lvt index) {
    const std::uint32_t entry = lvt_[index];
    if ((entry & lvt::masked) != 0 || !enabled()) {
        return;
    }
    switch (index == timer || index == error ? DeliveryMode::fixed : lvt::mode(entry)) {
    case DeliveryMode::fixed:
        request(static_cast<std::uint8_t>(entry), index == lint0 && (entry & lvt::level) != 0);
        break;
    case DeliveryMode::smi: target_.smi(); break;
    case DeliveryMode::nmi: target_.nmi(); break;
    case DeliveryMode::init: target_.init(); break;
    default: break; // ExtINT follows the pin's level: external_pending()
    }
}

void LocalApic::raise_error(std::uint32_t bits) {
    const bool fresh = (error_pending_ & bits) != bits;
    error_pending_ |= bits;
    if (fresh) { // once: the error interrupt's own vector may be illegal
        trigger_lvt(error);
    }
}

} // namespace strata::devices
