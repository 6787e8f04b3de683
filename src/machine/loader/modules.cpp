#include "machine/loader/modules.hpp"

#include "machine/memory_map.hpp"

namespace strata::machine::loader {

Result<std::vector<GuestPhysical>> place_modules(const BootRequest& request, BootMemory& memory) {
    std::vector<GuestPhysical> addresses;
    for (const Module& module : request.modules) {
        const auto address =
            memory.place_lowest(module.image.bytes.size(), memory::page_size, memory_map::high_memory,
                                memory_map::low_ram_limit, "module " + module.image.name);
        if (!address) {
            return std::unexpected(address.error());
        }
        memory.write(*address, module.image.bytes);
        addresses.push_back(*address);
    }
    return addresses;
}

} // namespace strata::machine::loader
