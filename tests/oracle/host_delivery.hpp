// What a hypervisor below the host's kernel answers itself, in another way than processors do.
#pragma once

#include <Zydis/Zydis.h>
#include <string_view>

namespace strata::oracle {

// Why the host is no judge of the instruction, found out by executing it once; empty if it is. Call it while
// the process has one thread: it takes SIGTRAP, SIGILL and SIGSEGV for a moment.
[[nodiscard]] std::string_view not_delivered_by_processor(ZydisMnemonic mnemonic);

} // namespace strata::oracle
