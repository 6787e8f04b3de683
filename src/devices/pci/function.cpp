#include "devices/pci/function.hpp"

#include "base/bits.hpp"
#include "devices/router.hpp"

#include <algorithm>

namespace strata::devices::pci {
namespace {

constexpr std::uint32_t bar_io_flag = 1, bar_64_bit_flag = 4;
constexpr std::uint16_t writable_command = command::io | command::memory | command::bus_master |
                                           command::parity_response | command::serr | command::intx_disable;
constexpr std::uint8_t multifunction_bit = 0x80;

} // namespace

Function::Function(const Environment& environment, const Identity& identity) : env_(environment) {
    config_.define(reg::vendor_id, 2, identity.vendor);
    config_.define(reg::device_id, 2, identity.device);
    config_.define(reg::command, 2, 0, writable_command);
    config_.define(reg::revision_id, 1, identity.revision);
    config_.define(reg::class_code, 2, identity.class_code & 0xFFFF);
    config_.define(reg::class_code + 2, 1, identity.class_code >> 16);
    config_.define(reg::cache_line_size, 1, 0, 0xFF);
    config_.define(reg::subsystem_vendor_id, 2, identity.subsystem_vendor);
    config_.define(reg::subsystem_id, 2, identity.subsystem);
    config_.define(reg::interrupt_line, 1, 0, 0xFF);
    config_.define(reg::interrupt_pin, 1, identity.interrupt_pin);
}

void Function::set_multifunction() { config_.define(reg::header_type, 1, multifunction_bit); }

unsigned Function::add_bar(unsigned index, BarKind kind, std::uint64_t size, std::string_view name,
                           unsigned min_access, unsigned max_access) {
    const bool io = kind == BarKind::io;
    const auto region = static_cast<unsigned>(regions_.size());
    regions_.push_back({name, io ? Space::port : Space::memory, 0, size, min_access, max_access, false});
    bars_.push_back({index, region, kind, size, std::nullopt});

    const std::uint64_t mask = ~(size - 1);
    const unsigned offset = reg::bar0 + index * 4;
    const std::uint32_t flags = io ? bar_io_flag : kind == BarKind::memory64 ? bar_64_bit_flag : 0;
    config_.define(offset, 4, flags, static_cast<std::uint32_t>(mask));
    if (kind == BarKind::memory64) {
        config_.define(offset + 4, 4, 0, static_cast<std::uint32_t>(mask >> 32));
    }
    return region;
}

unsigned Function::add_capability(std::uint8_t id, std::span<const std::uint8_t> body,
                                  std::span<const std::uint8_t> writable) {
    const unsigned offset = next_capability_;
    config_.define(offset, 1, id);
    config_.define(offset + 1, 1, 0);
    for (unsigned i = 0; i < body.size(); ++i) {
        config_.define(offset + 2 + i, 1, body[i], i < writable.size() ? writable[i] : 0U);
    }
    // The list's head is a register of its own, every other link the second byte of a capability.
    const unsigned link = last_capability_ == reg::capabilities ? reg::capabilities : last_capability_ + 1;
    config_.define(link, 1, offset);
    config_.define(reg::status, 2, status::capability_list);
    last_capability_ = offset;
    next_capability_ = static_cast<unsigned>(align_up(offset + 2 + body.size(), 4));
    return offset;
}

void Function::add_msix(unsigned bar, unsigned vectors) {
    msix_ = std::make_unique<Msix>(env_.msi, vectors);
    msix_region_ = add_bar(bar, BarKind::memory32, msix_->region_size(), "msix", 4, 8);
    std::array<std::uint8_t, 10> body{}, writable{};
    store_le(&body[0], static_cast<std::uint16_t>(msix_->vectors() - 1));
    store_le(&writable[0], static_cast<std::uint16_t>(Msix::enable_bit | Msix::function_mask_bit));
    store_le(&body[2], std::uint32_t{bar});
    store_le(&body[6], static_cast<std::uint32_t>(msix_->pba_offset()) | bar);
    msix_capability_ = add_capability(msix_capability_id, body, writable);
}

std::uint64_t Function::read(unsigned region, std::uint64_t offset, unsigned size) {
    return region == msix_region_ ? msix_->read(offset, size) : read_bar(region, offset, size);
}

void Function::write(unsigned region, std::uint64_t offset, unsigned size, std::uint64_t value) {
    if (region == msix_region_) {
        msix_->write(offset, size, value);
    } else {
        write_bar(region, offset, size, value);
    }
}

std::uint32_t Function::read_config(unsigned offset, unsigned size) {
    before_config_read(offset, size);
    return config_.read(offset, size);
}

void Function::write_config(unsigned offset, unsigned size, std::uint32_t value) {
    config_.write(offset, size, value);
    follow_config();
    after_config_write(offset, size);
}

void Function::reset() {
    config_.reset();
    if (msix_) {
        msix_->reset();
    }
    intx_wanted_ = false;
    on_reset();
    follow_config();
}

void Function::visit(StateVisitor& visitor) {
    config_.visit(visitor);
    if (msix_) {
        msix_->visit(visitor);
    }
    visitor.field("intx", intx_wanted_);
    if (visitor.loading()) {
        follow_config();
    }
}

std::optional<std::uint64_t> Function::wanted_base(const Bar& bar) const {
    const bool decodes = command() & (bar.kind == BarKind::io ? command::io : command::memory);
    if (!decodes) {
        return std::nullopt;
    }
    const unsigned offset = reg::bar0 + bar.index * 4;
    std::uint64_t value = config_.get<std::uint32_t>(offset);
    if (bar.kind == BarKind::memory64) {
        value |= std::uint64_t{config_.get<std::uint32_t>(offset + 4)} << 32;
    }
    const std::uint64_t base = value & ~(bar.size - 1) & ~std::uint64_t{bar.kind == BarKind::io ? 3U : 15U};
    // Nothing was assigned yet.
    return base == 0 ? std::nullopt : std::optional(base);
}

void Function::follow_config() {
    for (Bar& bar : bars_) {
        const auto base = wanted_base(bar);
        if (base != bar.mapped) {
            bar.mapped = base;
            env_.router.map(*this, bar.region, base);
        }
    }
    if (msix_) {
        const auto control = config_.get<std::uint16_t>(msix_capability_ + 2);
        msix_->set_open(control & Msix::enable_bit, (control & Msix::function_mask_bit) == 0 && bus_master());
    }
    update_intx();
}

void Function::set_intx(bool asserted) {
    intx_wanted_ = asserted;
    update_intx();
}

void Function::update_intx() {
    auto status = config_.get<std::uint16_t>(reg::status);
    status =
        static_cast<std::uint16_t>(intx_wanted_ ? status | status::interrupt : status & ~status::interrupt);
    config_.set(reg::status, status);
    const bool asserted = intx_wanted_ && !msix_enabled() && (command() & command::intx_disable) == 0;
    if (asserted != intx_asserted_) {
        intx_asserted_ = asserted;
        if (intx_line_) {
            intx_line_(asserted);
        }
    }
}

void Function::notify(unsigned vector) {
    if (msix_) {
        msix_->notify(vector);
    }
}

} // namespace strata::devices::pci
