// The processor states in which boot protocols start a kernel.
#pragma once

#include "cpu/x86/state.hpp"
#include "machine/loader/boot_memory.hpp"

namespace strata::machine::loader {

// Selectors of the boot descriptor table, as the Linux boot protocol names them.
inline constexpr std::uint16_t boot_cs = 0x10, boot_ds = 0x18, boot_tss = 0x20;

// Protected mode without paging: flat 4 GiB segments, interrupts off. The descriptor table is written to
// memory.
[[nodiscard]] Result<cpu::x86::State> protected_mode_state(BootMemory& memory, std::uint32_t entry);

// 64-bit mode with the low 4 GiB mapped one to one by 2 MiB pages, interrupts off.
[[nodiscard]] Result<cpu::x86::State> long_mode_state(BootMemory& memory, std::uint64_t entry);

} // namespace strata::machine::loader
