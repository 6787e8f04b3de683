// Bars for the pieces of an image on a terminal; elsewhere a line for each state that a piece reaches.
#pragma once

#include "image/registry/transfer.hpp"

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace strata::cli {

class ProgressBars : public image::Progress {
public:
    explicit ProgressBars(bool quiet);
    ~ProgressBars() override;

    void show(const image::Digest& piece, std::string_view state, std::uint64_t done,
              std::uint64_t total) override;

private:
    void draw();

    bool quiet_, terminal_;
    std::mutex mutex_;
    std::vector<std::string> order_;
    std::map<std::string, std::string> lines_;
    std::size_t drawn_ = 0;
    std::chrono::steady_clock::time_point last_{};
};

} // namespace strata::cli
