// The board `micro`: what a modern kernel needs and no more, without firmware: it boots kernels directly.
#pragma once

#include "machine/boards/board.hpp"

namespace strata::machine {

extern const BoardInfo micro_board;

} // namespace strata::machine
