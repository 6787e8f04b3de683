#include "machine/tables/acpi.hpp"

#include "base/bits.hpp"
#include "machine/tables/acpi_table.hpp"

#include <algorithm>
#include <cstring>

namespace strata::machine::acpi {
namespace {

using memory::GuestPhysical;

// Collects tables at ascending addresses.
class Layout {
public:
    explicit Layout(GuestPhysical base) : base_(base) {}

    GuestPhysical add(const Table& table, std::uint64_t alignment = 16) {
        bytes_.resize(align_up(bytes_.size(), alignment));
        const GuestPhysical address = base_ + bytes_.size();
        bytes_.insert(bytes_.end(), table.begin(), table.end());
        return address;
    }

    [[nodiscard]] std::vector<std::byte> bytes() && { return std::move(bytes_); }

private:
    GuestPhysical base_;
    std::vector<std::byte> bytes_;
};

// Section 5.2.10. It has no checksum.
Table facs() {
    constexpr std::uint32_t length = 64;
    Table table(length);
    std::memcpy(table.data(), "FACS", 4);
    store_le(&table[4], length);
    table[32] = std::byte{2}; // version
    return table;
}

// Sections 5.2.7 and 5.2.8: pointers to all other tables, of 32 and of 64 bits.
template <std::unsigned_integral Pointer>
Table root_table(std::string_view signature, const std::vector<GuestPhysical>& tables) {
    TableBuilder builder(signature, 1);
    for (const GuestPhysical table : tables) {
        builder.put(static_cast<Pointer>(table));
    }
    return std::move(builder).finish();
}

// Section 5.2.5.3.
Table root_pointer(GuestPhysical rsdt, GuestPhysical xsdt) {
    constexpr std::size_t length = 36, length_of_version_1 = 20;
    Table table(length);
    std::memcpy(table.data(), "RSD PTR ", 8);
    std::memcpy(&table[9], "STRATA", 6);
    table[15] = std::byte{2}; // revision
    store_le(&table[16], static_cast<std::uint32_t>(rsdt));
    store_le(&table[20], static_cast<std::uint32_t>(length));
    store_le(&table[24], xsdt);
    table[8] = checksum(std::span(table).first(length_of_version_1));
    table[32] = checksum(table);
    return table;
}

} // namespace

Tables build_tables(const Platform& platform, GuestPhysical base) {
    constexpr std::uint64_t facs_alignment = 64;
    Layout layout(base);
    const auto facs_at = layout.add(facs(), facs_alignment);
    const auto dsdt_at = layout.add(dsdt(platform));
    std::vector<GuestPhysical> tables;
    tables.push_back(layout.add(fadt(platform, facs_at, dsdt_at)));
    tables.push_back(layout.add(madt(platform)));
    tables.push_back(layout.add(mcfg()));
    const auto rsdt = layout.add(root_table<std::uint32_t>("RSDT", tables));
    const auto xsdt = layout.add(root_table<std::uint64_t>("XSDT", tables));
    const auto rsdp = layout.add(root_pointer(rsdt, xsdt));
    return {.rsdp = rsdp, .base = base, .bytes = std::move(layout).bytes()};
}

} // namespace strata::machine::acpi
