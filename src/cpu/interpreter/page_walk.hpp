// Page-table walks in every paging mode. SDM volume 3 chapter 4; APM volume 2 chapter 5.
#pragma once

#include "cpu/interpreter/cpu.hpp"

#include <cstdint>
#include <variant>

namespace strata::cpu::interpreter {

// What of a processor's state decides how addresses are translated.
struct PagingMode {
    std::uint64_t cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
    unsigned physical_bits = 36;
    bool gigabyte_pages = false;
    bool pse36 = false;
};

struct WalkAccess {
    Access access = Access::read;
    bool user = false;  // made with user privilege
    bool smap = false;  // supervisor accesses to user pages are refused
    bool probe = false; // a look without side effects or rights: accessed and dirty stay
    bool ahead = false; // before there is an access: a fault if an accessed bit would have to be set
};

struct Mapping {
    memory::GuestPhysical physical = 0; // of the address itself
    bool writable = false;              // with the rights of the access
    bool dirty = false;
    bool global = false;
    bool large = false; // larger than 4 KiB
};

struct WalkFault {
    std::uint32_t error_code;
};

[[nodiscard]] std::variant<Mapping, WalkFault> walk(memory::GuestMemory& memory, const PagingMode& mode,
                                                    std::uint64_t linear, WalkAccess access);

} // namespace strata::cpu::interpreter
