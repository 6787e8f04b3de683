// Guest memory while a kernel is put into it: what is taken already, and where the next thing fits.
#pragma once

#include "base/error.hpp"
#include "machine/tables/e820.hpp"
#include "memory/guest_memory.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace strata::machine::loader {

using memory::GuestPhysical;

class BootMemory {
public:
    // RAM is what `e820` calls so; the first page (the real-mode vectors) is never given out.
    BootMemory(memory::GuestMemory& memory, std::span<const E820Entry> e820);

    // Marks [base, base + size) as taken. Fails, naming `what`, if a part is not RAM or is taken already.
    Result<void> claim(GuestPhysical base, std::uint64_t size, std::string_view what);

    // Finds free RAM at the lowest or highest place within [from, to), and claims it. `alignment` is a power
    // of two.
    Result<GuestPhysical> place_lowest(std::uint64_t size, std::uint64_t alignment, GuestPhysical from,
                                       GuestPhysical to, std::string_view what);
    Result<GuestPhysical> place_highest(std::uint64_t size, std::uint64_t alignment, GuestPhysical from,
                                        GuestPhysical to, std::string_view what);

    // True if [base, base + size) is RAM and free.
    [[nodiscard]] bool available(GuestPhysical base, std::uint64_t size) const;

    // Into claimed memory.
    void write(GuestPhysical address, std::span<const std::byte> bytes);
    void fill_zero(GuestPhysical address, std::uint64_t size);

private:
    struct Range {
        GuestPhysical begin, end;
    };

    [[nodiscard]] Result<GuestPhysical> placed(std::optional<GuestPhysical> base, std::uint64_t size,
                                               std::string_view what);

    memory::GuestMemory& memory_;
    std::vector<Range> free_; // ascending, disjoint
};

} // namespace strata::machine::loader
