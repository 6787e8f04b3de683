#include "base/suggestion.hpp"
#include "machine/boards/micro.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <vector>

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
    std::vector<std::string_view> known;
    std::ranges::transform(boards(), std::back_inserter(known), &BoardInfo::name);
    return fail("unknown board '" + std::string(name) + "'", unknown_word_hint(name, known, "known boards"));
}

} // namespace strata::machine
