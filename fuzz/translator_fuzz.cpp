// The translator, each block translated before it first runs: any code in any mode, with any registers and
// anything in memory. It ends as the interpreter does, and touches nothing beside guest memory.
//
// What the manuals leave undefined is left out, as in the oracle: flags that an instruction leaves so are not
// compared, and after an instruction that reads one, nothing is.
#include "cpu/assistance.hpp"
#include "cpu/x86/registers.hpp"
#include "processor.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <utility>

namespace {

using namespace strata;
namespace x86 = cpu::x86;

constexpr unsigned most_steps = 256;

// Follows the reference: what is undefined by now.
class Undefined {
public:
    // Before `processor` carries out the instruction that it is at.
    void note(fuzz::Processor& processor) {
        const x86::State state = processor.vcpu().state();
        const x86::Segment& code = state.system.segments[x86::cs];
        const bool long_mode = (state.system.efer & x86::efer::lma) != 0;
        const bool code64 = long_mode && code.long_mode();
        const auto mode = code64       ? ZYDIS_MACHINE_MODE_LONG_64
                          : code.big() ? ZYDIS_MACHINE_MODE_LEGACY_32
                                       : ZYDIS_MACHINE_MODE_LEGACY_16;
        const auto width = code64       ? ZYDIS_STACK_WIDTH_64
                           : code.big() ? ZYDIS_STACK_WIDTH_32
                                        : ZYDIS_STACK_WIDTH_16;
        const auto bytes = processor.next_code();
        ZydisDecoder decoder;
        ZydisDecodedInstruction info;
        ZydisDecoderInit(&decoder, mode, width);
        if (ZYAN_SUCCESS(
                ZydisDecoderDecodeInstruction(&decoder, nullptr, bytes.data(), bytes.size(), &info))) {
            add(info);
            system_calls_ += info.mnemonic == ZYDIS_MNEMONIC_SYSCALL ? 1 : 0;
        }
        unknown_ |= flags_ != 0 && (state.rflags & x86::flag::tf) != 0; // a trap stores them
    }

    // An event's frame holds the flags.
    void flags_are_stored() { unknown_ |= flags_ != 0; }

    [[nodiscard]] bool unknown() const { return unknown_; }

    [[nodiscard]] std::uint64_t flags() const { return flags_; }

    // How often SYSCALL was carried out.
    [[nodiscard]] std::uint64_t system_calls() const { return system_calls_; }

private:
    void add(const ZydisDecodedInstruction& info) {
        switch (info.mnemonic) {
        case ZYDIS_MNEMONIC_SHLD:
        case ZYDIS_MNEMONIC_SHRD:
        case ZYDIS_MNEMONIC_BSWAP: unknown_ |= info.operand_width == 16; break;
        case ZYDIS_MNEMONIC_INT: // stores the flags
        case ZYDIS_MNEMONIC_INT1:
        case ZYDIS_MNEMONIC_INT3:
        case ZYDIS_MNEMONIC_INTO:
        case ZYDIS_MNEMONIC_SYSCALL: flags_are_stored(); break;
        default: break;
        }
        if (info.cpu_flags != nullptr) {
            unknown_ |= (info.cpu_flags->tested & flags_) != 0;
            // A shift by 0 or a repetition that does not happen leaves the flags as they were.
            flags_ |= info.cpu_flags->undefined;
            const bool always = info.raw.prefix_count == 0 && info.cpu_flags->undefined == 0;
            flags_ &= always ? ~std::uint64_t{info.cpu_flags->modified} : ~std::uint64_t{0};
        }
    }

    std::uint64_t flags_ = 0, system_calls_ = 0;
    bool unknown_ = false;
};

// The engine counts on from one input to the next.
std::uint64_t count(const cpu::Vcpu& vcpu, std::string_view name) {
    const auto counts = cpu::exits(vcpu);
    const auto found = std::ranges::find(counts, name, &cpu::Count::first);
    return found == counts.end() ? 0 : found->second;
}

// How many traces were made of inputs that began in each mode, and how many system calls these made: what no
// translation runs is no test of any. Says so at the end, too.
class Translated {
public:
    ~Translated() { say(); }

    // `system_calls`: of the run on the translator, empty if that is not known.
    void note(fuzz::ProcessorMode began, const cpu::Vcpu& vcpu, std::optional<std::uint64_t> system_calls) {
        const auto traces = new_of(vcpu, "traces", traces_before_);
        const auto interpreted = new_of(vcpu, "syscall", interpreted_before_);
        traces_[static_cast<std::size_t>(began)] += traces;
        paths_ += new_of(vcpu, "traces-along-paths", paths_before_);
        system_calls_ += system_calls && *system_calls > interpreted ? *system_calls - interpreted : 0;
        ++inputs_[static_cast<std::size_t>(began)];
    }

    // Every mode whose code is translated, one trace an input at least; and system calls, and paths.
    [[nodiscard]] bool enough() const {
        using enum fuzz::ProcessorMode;
        return system_calls_ >= 100 && paths_ >= 10 &&
               std::ranges::all_of(std::array{protected_32, paging_32, paging_pae, long_64, compatibility},
                                   [this](fuzz::ProcessorMode mode) {
                                       const auto i = static_cast<std::size_t>(mode);
                                       return inputs_[i] >= 10 && traces_[i] >= inputs_[i];
                                   });
    }

    void say() const {
        static constexpr std::array<const char*, modes> names{"real",         "virtual-8086", "protected 16",
                                                              "protected 32", "paging 32",    "paging PAE",
                                                              "long 64",      "compatibility"};
        std::fputs("traces translated of inputs, by the mode these began in:\n", stderr);
        for (std::size_t i = 0; i < modes; ++i) {
            std::fputs(fmt::format("  {:14} {:>9} {:>9}\n", names[i], traces_[i], inputs_[i]).c_str(),
                       stderr);
        }
        std::fputs(fmt::format("of the traces, along paths: {}\nsystem calls in translated code: {}\n",
                               paths_, system_calls_)
                       .c_str(),
                   stderr);
    }

private:
    // How often since the last time.
    static std::uint64_t new_of(const cpu::Vcpu& vcpu, std::string_view name, std::uint64_t& before) {
        const std::uint64_t now = count(vcpu, name);
        return now - std::exchange(before, now);
    }

    static constexpr auto modes = static_cast<std::size_t>(fuzz::ProcessorMode::count);

    std::array<std::uint64_t, modes> traces_{}, inputs_{};
    std::uint64_t system_calls_ = 0, paths_ = 0;
    std::uint64_t traces_before_ = 0, paths_before_ = 0, interpreted_before_ = 0;
};

Translated& translated() {
    static Translated all;
    return all;
}

// Long code that writes over itself at each instruction is translated, and proved to be safe, as often: tens
// of seconds for 256 instructions. That is no loop without an end, in which nothing new is translated.
bool still_translates(fuzz::Processor& processor) {
    const std::uint64_t before = count(processor.vcpu(), "traces");
    static_cast<void>(processor.run(std::chrono::seconds(5)));
    return count(processor.vcpu(), "traces") != before;
}

} // namespace

extern "C" bool corpus_reached_enough() {
    if (translated().enough()) {
        return true;
    }
    std::fputs("too little is translated\n", stderr);
    return false;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static_cast<void>(translated()); // before the processors: it speaks when they are gone
    static fuzz::Processor reference("interpreter"), translator("translator-eager");
    const fuzz::ProcessorStart start{fuzz::Input(data, size)};
    reference.start(start);
    Undefined undefined;
    cpu::Exit exit = cpu::Exit::debug;
    for (unsigned i = 0; i < most_steps && exit == cpu::Exit::debug; ++i) {
        const Undefined before = undefined;
        const auto retired = reference.vcpu().instructions_retired();
        undefined.note(reference);
        exit = reference.step();
        if (reference.vcpu().instructions_retired() == retired) { // it faulted
            undefined = before;
            undefined.flags_are_stored();
        }
    }
    const fuzz::Ending expected = reference.ending(exit);
    translator.start(start);
    // The proof that code is safe takes its time; what has an end is given that.
    using namespace std::chrono_literals;
    const fuzz::Ending found = translator.run(expected.final() ? 10s : fuzz::Processor::usual_time);
    translator.check_state();
    translated().note(start.mode, translator.vcpu(),
                      expected.final() && found.final() ? std::optional(undefined.system_calls())
                                                        : std::nullopt);
    if (expected.final() && found.exit == cpu::Exit::requested && still_translates(translator)) {
        return 0;
    }
    if (!expected.final() || undefined.unknown() || reference.repetition_rewritten() ||
        reference.tables_changed()) {
        return 0;
    }
    const auto state = fuzz::difference(
        expected, found, {.flags = undefined.flags(), .bus_record = reference.fetched_from_device()});
    const auto what =
        state.empty() ? fuzz::memory_difference(reference.memory(), translator.memory()) : state;
    if (!what.empty()) {
        fuzz::broken("interpreter and translator differ: " + what);
    }
    return 0;
}
