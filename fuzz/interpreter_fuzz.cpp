// The interpreter's decoder and interpreter: any code in any mode, with any registers and anything in memory,
// and events from outside. After each step the state is one that a processor can have; run freely, it ends as
// it did step by step; nothing beside guest memory is touched.
#include "processor.hpp"

namespace {

using namespace strata;
using cpu::Signals;

constexpr unsigned most_steps = 256;

// What one byte of the input brings about.
void happen(fuzz::Processor& processor, std::uint8_t event) {
    constexpr std::uint32_t kinds[] = {
        Signals::interrupt, Signals::nmi,     Signals::flush_tlb, Signals::engine,
        Signals::init,      Signals::startup, Signals::smi,       Signals::interrupt | Signals::nmi};
    if (event >= 128) {
        processor.vcpu().signals().startup_vector = event;
        processor.vcpu().signals().set(kinds[event % 8]);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static fuzz::Processor processor("interpreter");
    const fuzz::ProcessorStart start{fuzz::Input(data, size)};
    processor.start(start);
    cpu::Exit exit = cpu::Exit::debug;
    for (unsigned i = 0; i < most_steps; ++i) {
        const bool event = i < start.events.size();
        if (event) {
            happen(processor, start.events[i]);
        }
        exit = processor.step();
        processor.check_state();
        if (exit != cpu::Exit::debug && !event) {
            break;
        }
    }
    const fuzz::Ending stepped = processor.ending(exit);
    if (!stepped.final() || !start.events.empty() || processor.repetition_rewritten() ||
        processor.tables_changed()) {
        return 0;
    }
    const std::vector<std::byte> memory(processor.memory(), processor.memory() + fuzz::all_ram);
    const fuzz::Tolerance tolerance{.bus_record = processor.fetched_from_device()};
    processor.start(start);
    const auto state = fuzz::difference(stepped, processor.run(), tolerance);
    const auto what = state.empty() ? fuzz::memory_difference(memory.data(), processor.memory()) : state;
    if (!what.empty()) {
        fuzz::broken("run freely, another end than step by step: " + what);
    }
    return 0;
}
