#include "cli/image/progress.hpp"

#include "cli/table.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <unistd.h>

namespace strata::cli {
namespace {

constexpr std::size_t bar_width = 40;
constexpr std::chrono::milliseconds between_drawings{80};

std::string bar(std::uint64_t done, std::uint64_t total) {
    const auto filled = static_cast<std::size_t>(std::min(done, total) * bar_width / total);
    const auto text = std::string(filled, '=') + (filled < bar_width ? ">" : "");
    return fmt::format("[{:{}}] {}/{}", text, bar_width, human_size(done), human_size(total));
}

} // namespace

ProgressBars::ProgressBars(bool quiet) : quiet_(quiet), terminal_(isatty(STDOUT_FILENO) != 0) {}

ProgressBars::~ProgressBars() {
    if (terminal_ && !quiet_) {
        draw();
    }
}

void ProgressBars::show(const image::Digest& piece, std::string_view state, std::uint64_t done,
                        std::uint64_t total) {
    const std::scoped_lock lock(mutex_);
    if (quiet_) {
        return;
    }
    const auto id = piece.short_hex();
    const auto line =
        fmt::format("{}: {}{}{}", id, state, total > 0 ? " " : "", total > 0 ? bar(done, total) : "");
    const auto [place, is_new] = lines_.try_emplace(id, line);
    place->second = line;
    if (is_new) {
        order_.push_back(id);
    }
    if (!terminal_) {
        if (total == 0 && state != "Waiting") {
            fmt::print("{}\n", line);
            std::fflush(stdout);
        }
        return;
    }
    if (const auto now = std::chrono::steady_clock::now(); total == 0 || now - last_ > between_drawings) {
        last_ = now;
        draw();
    }
}

void ProgressBars::draw() {
    std::string text = drawn_ > 0 ? fmt::format("\033[{}A", drawn_) : "";
    for (const auto& id : order_) {
        text += fmt::format("\r\033[K{}\n", lines_[id]);
    }
    drawn_ = order_.size();
    fmt::print("{}", text);
    std::fflush(stdout);
}

} // namespace strata::cli
