// Output for people: tables, sizes and times as Docker's client writes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strata::cli {

// Rows of cells below their titles, in columns as wide as they need.
class Table {
public:
    explicit Table(std::vector<std::string> titles) : rows_{std::move(titles)} {}

    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

    void print() const;

private:
    std::vector<std::vector<std::string>> rows_;
};

// 4261557 as "4.26MB".
[[nodiscard]] std::string human_size(std::uint64_t bytes);

// An RFC 3339 time as "2 weeks ago"; "N/A" for anything else.
[[nodiscard]] std::string human_age(const std::string& time);

} // namespace strata::cli
