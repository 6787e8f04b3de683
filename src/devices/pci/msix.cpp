#include "devices/pci/msix.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <bit>

namespace strata::devices::pci {
namespace {

constexpr std::uint64_t entry_size = 16;
constexpr std::uint32_t vector_masked = 1 << 0;

} // namespace

Msix::Msix(MsiSink& sink, unsigned vectors)
    : sink_(sink), entries_(std::clamp(vectors, 1U, msix_max_vectors)) {}

std::uint64_t Msix::region_size() const {
    // A page each at least, so that a hypervisor inside the guest can map them apart.
    const std::uint64_t table = align_up(entries_.size() * entry_size, 4096);
    return std::bit_ceil(table) * 2;
}

std::uint32_t Msix::read_word(std::uint64_t offset) const {
    if (offset >= pba_offset()) {
        const std::uint64_t first = (offset - pba_offset()) * 8;
        std::uint32_t pending = 0;
        for (std::uint64_t i = first; i < std::min<std::uint64_t>(first + 32, entries_.size()); ++i) {
            pending |= std::uint32_t{entries_[i].pending} << (i - first);
        }
        return pending;
    }
    const std::uint64_t index = offset / entry_size;
    if (index >= entries_.size()) {
        return 0;
    }
    const Entry& entry = entries_[index];
    switch (offset % entry_size / 4) {
    case 0: return static_cast<std::uint32_t>(entry.address);
    case 1: return static_cast<std::uint32_t>(entry.address >> 32);
    case 2: return entry.data;
    default: return entry.control;
    }
}

void Msix::write_word(std::uint64_t offset, std::uint32_t value) {
    const std::uint64_t index = offset / entry_size;
    if (offset >= pba_offset() || index >= entries_.size()) {
        return; // the pending bits are read-only
    }
    Entry& entry = entries_[index];
    switch (offset % entry_size / 4) {
    case 0: entry.address = (entry.address & ~std::uint64_t{0xFFFF'FFFF}) | (value & ~3U); break;
    case 1: entry.address = (entry.address & 0xFFFF'FFFF) | (std::uint64_t{value} << 32); break;
    case 2: entry.data = value; break;
    default:
        entry.control = value & vector_masked;
        send_if_open(entry);
        break;
    }
}

std::uint64_t Msix::read(std::uint64_t offset, unsigned size) const {
    std::uint64_t value = read_word(offset);
    if (size == 8) {
        value |= std::uint64_t{read_word(offset + 4)} << 32;
    }
    return value;
}

void Msix::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
    write_word(offset, static_cast<std::uint32_t>(value));
    if (size == 8) {
        write_word(offset + 4, static_cast<std::uint32_t>(value >> 32));
    }
}

void Msix::send_if_open(Entry& entry) {
    if (entry.pending && open_ && (entry.control & vector_masked) == 0) {
        entry.pending = false;
        sink_.send_msi(entry.address, entry.data);
    }
}

void Msix::set_open(bool enabled, bool open) {
    enabled_ = enabled;
    open_ = enabled && open;
    if (open_) {
        std::ranges::for_each(entries_, [this](Entry& entry) { send_if_open(entry); });
    }
}

void Msix::notify(unsigned vector) {
    if (vector < entries_.size()) {
        entries_[vector].pending = true;
        send_if_open(entries_[vector]);
    }
}

void Msix::reset() {
    std::ranges::fill(entries_, Entry{});
    enabled_ = open_ = false;
}

void Msix::visit(StateVisitor& visitor) {
    for (Entry& entry : entries_) {
        visitor.field("msix.address", entry.address);
        visitor.field("msix.data", entry.data);
        visitor.field_up_to("msix.control", entry.control, vector_masked);
        visitor.field("msix.pending", entry.pending);
    }
}

} // namespace strata::devices::pci
