#include "machine/loader/boot_memory.hpp"

#include "base/bits.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <optional>

namespace strata::machine::loader {

BootMemory::BootMemory(memory::GuestMemory& memory, std::span<const E820Entry> e820) : memory_(memory) {
    for (const E820Entry& entry : e820) {
        if (entry.type == E820Type::ram) {
            const GuestPhysical begin = std::max<GuestPhysical>(entry.base, memory::page_size);
            free_.push_back({begin, entry.base + entry.size});
        }
    }
}

bool BootMemory::available(GuestPhysical base, std::uint64_t size) const {
    return std::ranges::any_of(free_, [&](const Range& range) {
        return base >= range.begin && base <= range.end && size <= range.end - base;
    });
}

Result<void> BootMemory::claim(GuestPhysical base, std::uint64_t size, std::string_view what) {
    if (!available(base, size)) {
        return fail(fmt::format("{} needs {} bytes at {:#x}, which is not free RAM", what, size, base),
                    "give the machine more --memory");
    }
    const auto range = std::ranges::find_if(
        free_, [&](const Range& r) { return base >= r.begin && base <= r.end && size <= r.end - base; });
    const Range rest{base + size, range->end};
    range->end = base;
    free_.insert(range + 1, rest);
    return {};
}

Result<GuestPhysical> BootMemory::placed(std::optional<GuestPhysical> base, std::uint64_t size,
                                         std::string_view what) {
    if (!base) {
        return fail(fmt::format("{}: {} bytes do not fit into the guest's memory", what, size),
                    "give the machine more --memory");
    }
    if (auto claimed = claim(*base, size, what); !claimed) {
        return std::unexpected(claimed.error());
    }
    return *base;
}

Result<GuestPhysical> BootMemory::place_lowest(std::uint64_t size, std::uint64_t alignment,
                                               GuestPhysical from, GuestPhysical to, std::string_view what) {
    for (const Range& range : free_) {
        const GuestPhysical end = std::min(range.end, to);
        const GuestPhysical base = align_up(std::max(range.begin, from), alignment);
        if (base <= end && size <= end - base) {
            return placed(base, size, what);
        }
    }
    return placed(std::nullopt, size, what);
}

Result<GuestPhysical> BootMemory::place_highest(std::uint64_t size, std::uint64_t alignment,
                                                GuestPhysical from, GuestPhysical to, std::string_view what) {
    for (auto range = free_.rbegin(); range != free_.rend(); ++range) {
        const GuestPhysical begin = std::max(range->begin, from);
        const GuestPhysical end = std::min(range->end, to);
        if (begin <= end && size <= end - begin) {
            const GuestPhysical base = align_down(end - size, alignment);
            if (base >= begin) {
                return placed(base, size, what);
            }
        }
    }
    return placed(std::nullopt, size, what);
}

void BootMemory::write(GuestPhysical address, std::span<const std::byte> bytes) {
    if (std::byte* to = memory_.host(address, bytes.size()); to != nullptr && !bytes.empty()) {
        std::memcpy(to, bytes.data(), bytes.size());
        memory_.written(address, bytes.size());
    }
}

void BootMemory::fill_zero(GuestPhysical address, std::uint64_t size) {
    if (std::byte* to = memory_.host(address, size); to != nullptr && size != 0) {
        std::memset(to, 0, size);
        memory_.written(address, size);
    }
}

} // namespace strata::machine::loader
