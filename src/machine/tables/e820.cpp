#include "machine/tables/e820.hpp"

#include "machine/memory_map.hpp"

#include <algorithm>

namespace strata::machine {

std::vector<E820Entry> e820_map(const memory::GuestMemory& memory) {
    using namespace memory_map;
    std::vector<E820Entry> map;
    const auto add = [&map](GuestPhysical base, GuestPhysical end, E820Type type) {
        if (base < end) {
            map.push_back({base, end - base, type});
        }
    };
    const auto& low = memory.slots().front();
    const GuestPhysical low_end = low.base + low.size;
    add(0, std::min(low_end, ebda), E820Type::ram);
    add(ebda, video, E820Type::reserved);
    add(firmware_tables, firmware_tables_end, E820Type::reserved);
    add(high_memory, low_end, E820Type::ram);
    add(ecam, ecam + ecam_size, E820Type::reserved);
    for (const auto& slot : memory.slots().subspan(1)) {
        add(slot.base, slot.base + slot.size, E820Type::ram);
    }
    return map;
}

} // namespace strata::machine
