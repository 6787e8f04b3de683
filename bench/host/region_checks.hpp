// What the translator's check of an access costs (docs/translator.md), beside the same access without one.
#pragma once

namespace bench {

struct AccessCosts { // nanoseconds an access
    double plain;
    double checked;  // the flag is borrowed for nothing, as where the guest overwrites it
    double borrowed; // the flag is put away and given back at each access
};

// Independent loads from a buffer in the first cache: how much of it the processor does at the same time.
[[nodiscard]] AccessCosts cost_of_stream();
// Each load gives the address of the next.
[[nodiscard]] AccessCosts cost_of_chase();

} // namespace bench
