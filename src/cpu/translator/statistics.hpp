// What the translator of one processor did, counted. Any thread may read.
#pragma once

#include "cpu/software_vcpu.hpp"

#include <Zydis/Zydis.h>
#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace strata::cpu::translator {

class Statistics {
public:
    enum Event : std::uint8_t {
        traces,             // translated
        trace_instructions, // of the guest, in these
        code_bytes,         // of the host, in these
        paths,              // of these: along paths
        traces_reused,      // made good here, of what was made for another processor, or here before
        traces_loaded,      // likewise, of what was read from a file
        traces_voided,      // since the guest wrote to their code, or decoded code was given up
        traces_evicted,     // to make room
        region_fills,       // a place of access got another run of pages from the TLB
        page_walks,         // and the page tables were walked for it
        interrupts,         // were delivered without the processor's loop
        instructions_interpreted,
        event_count
    };

    // The processor's own thread alone counts.
    void add(Event event, std::uint64_t number = 1) { add(events_[event], number); }

    // Translated code left an instruction to the interpreter.
    void interpreted(std::uint16_t mnemonic) {
        add(instructions_interpreted);
        add(interpreted_[mnemonic], 1);
    }

    // By name; then what was interpreted, by the instruction's.
    [[nodiscard]] Counts counts() const;

private:
    using Counter = std::atomic<std::uint64_t>;

    static void add(Counter& counter, std::uint64_t number) {
        counter.store(counter.load(std::memory_order_relaxed) + number, std::memory_order_relaxed);
    }

    std::array<Counter, event_count> events_{};
    std::array<Counter, ZYDIS_MNEMONIC_MAX_VALUE + 1> interpreted_{};
};

} // namespace strata::cpu::translator
