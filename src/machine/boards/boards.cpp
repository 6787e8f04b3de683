#include "machine/boards/micro.hpp"

#include <array>

namespace strata::machine {

std::span<const BoardInfo> boards() {
    static const std::array all{micro_board};
    return all;
}

Result<const BoardInfo*> find_board(std::string_view name) {
    for (const BoardInfo& board : boards()) {
        if (board.name == name) {
            return &board;
        }
    }
    return fail("no board is called '" + std::string(name) + "'", "strata devices lists the boards");
}

} // namespace strata::machine
