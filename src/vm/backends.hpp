// Opens what the devices of a machine are wired to on the host.
#pragma once

#include "base/event_loop.hpp"
#include "machine/boards/board.hpp"
#include "strata/machine.hpp"

#include <functional>

namespace strata::vm {

// `quit` is called on the loop's thread when the user asks for the end at the terminal. The loop does not run
// yet.
[[nodiscard]] Result<machine::Backends> create_backends(const MachineConfig& config, EventLoop& loop,
                                                        const std::function<void()>& quit);

} // namespace strata::vm
