#include "cpu/translator/statistics.hpp"

namespace strata::cpu::translator {

Counts Statistics::counts() const {
    static constexpr std::array<std::string_view, event_count> names{
        "traces",        "trace-instructions", "code-bytes",    "traces-along-paths",
        "traces-reused", "traces-loaded",      "traces-voided", "traces-evicted",
        "region-fills",  "page-walks",         "interrupts",    "interpreted"};
    Counts counts;
    for (std::size_t i = 0; i < names.size(); ++i) {
        counts.emplace_back(names[i], events_[i].load(std::memory_order_relaxed));
    }
    for (std::size_t i = 0; i < interpreted_.size(); ++i) {
        if (const auto count = interpreted_[i].load(std::memory_order_relaxed); count != 0) {
            counts.emplace_back(ZydisMnemonicGetString(static_cast<ZydisMnemonic>(i)), count);
        }
    }
    return counts;
}

} // namespace strata::cpu::translator
