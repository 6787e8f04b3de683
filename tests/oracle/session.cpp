#include "session.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>

namespace strata::oracle {

namespace {

std::array<std::uint8_t, page> constant_page() {
    Random random(0x5EED);
    std::array<std::uint8_t, page> bytes;
    for (auto& byte : bytes) {
        byte = static_cast<std::uint8_t>(random.next());
    }
    return bytes;
}

bool matches(const Form& form, const std::vector<std::string>& filters) {
    return filters.empty() || std::ranges::any_of(filters, [&](const std::string& filter) {
               return form.name == filter || filter == ZydisMnemonicGetString(form.mnemonic) ||
                      (filter.ends_with('*') && form.name.starts_with(filter.substr(0, filter.size() - 1)));
           });
}

// The modes in which the guest's system can run the code.
SystemMode system_mode(Random& random, const GeneratedCase& generated, unsigned width) {
    const bool vex = std::ranges::any_of(generated.instructions, [](const Planned& planned) {
        return planned.decoded.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    });
    const bool interrupt = std::ranges::any_of(generated.instructions, [](const Planned& planned) {
        return planned.decoded.info.mnemonic ==
               ZYDIS_MNEMONIC_INT; // which the I/O privilege level governs there
    });
    const std::uint64_t modes = width == 64 ? 1 : width == 32 || vex || interrupt ? 2 : 3;
    return static_cast<SystemMode>(random.below(modes));
}

// When a repeated instruction that overwrites itself becomes another is not defined.
bool repeats_changed_code(const GeneratedCase& generated, const Outcome& native) {
    return std::ranges::any_of(generated.instructions,
                               [](const Planned& planned) { return repeats(planned.decoded); }) &&
           changes_its_code(generated.input, native);
}

bool clears_all_vectors(const GeneratedCase& generated) {
    return std::ranges::any_of(generated.instructions, [](const Planned& planned) {
        const auto mnemonic = planned.decoded.info.mnemonic;
        return mnemonic == ZYDIS_MNEMONIC_VZEROALL || mnemonic == ZYDIS_MNEMONIC_VZEROUPPER;
    });
}

} // namespace

Session::Session(Options options)
    : options_(std::move(options)), model_(model_like_host()), disassembler_(options_.width) {}

Result<std::unique_ptr<Session>> Session::create(Options options) {
    std::unique_ptr<Session> session(new Session(std::move(options)));
    if (auto selected = session->select_forms(); !selected) {
        return std::unexpected(selected.error());
    }
    const Options& o = session->options_;
    session->generator_ = std::make_unique<Generator>(session->disassembler_, session->chosen_,
                                                      session->compared_, o.max_instructions);
    const auto constant = constant_page();
    if (auto started = session->start_native(constant); !started) {
        return std::unexpected(started.error());
    }
    if (!o.native_only) {
        auto guest = Guest::create(o.engine, session->model_, constant);
        if (!guest) {
            return std::unexpected(guest.error());
        }
        session->guest_ = std::move(*guest);
    }
    session->batch_.reserve(batch_size);
    for (std::size_t i = 0; i < batch_size; ++i) {
        session->batch_.emplace_back(session->disassembler_);
    }
    return session;
}

// Narrow code runs as its 64-bit equivalent: hosts whose own segments are the processor's and not a
// hypervisor's are rare, and the judge should be the same everywhere.
Result<void> Session::start_native(const std::array<std::uint8_t, page>& constant) {
    const unsigned width = options_.own_segments ? options_.width : 64;
    transposed_ = width != options_.width;
    auto native = NativeProcessor::start(options_.native_program, width, constant);
    if (!native) {
        return std::unexpected(native.error());
    }
    native_ = std::move(*native);
    return {};
}

Result<void> Session::select_forms() {
    forms_ = enumerate_forms(disassembler_, host_model(), model_);
    for (const Form& form : forms_) {
        if (form.skipped.empty()) {
            compared_.push_back(&form);
            if (matches(form, options_.filters)) {
                chosen_.push_back(&form);
            }
        }
    }
    if (chosen_.empty()) {
        return fail("no instruction form matches the filter", "see --list");
    }
    return {};
}

Result<bool> Session::run() {
    if (options_.only) {
        if (auto done = run_batch(*options_.only, 1); !done) {
            return std::unexpected(done.error());
        }
        return different_ == 0;
    }
    for (std::uint64_t first = 0; first < options_.cases; first += batch_size) {
        const auto count =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(batch_size, options_.cases - first));
        if (auto done = run_batch(first, count); !done) {
            return std::unexpected(done.error());
        }
        if (different_ >= options_.differences_shown) {
            fmt::print("stopped after {} differences\n", different_);
            break;
        }
    }
    if (auto enough = check_translated(); !enough) {
        return std::unexpected(enough.error());
    }
    return different_ == 0;
}

Result<void> Session::check_translated() const {
    const std::uint64_t traces = guest_ ? guest_->traces() : 0;
    if (traces * 100 < run_ * options_.translated) {
        return fail(
            fmt::format("the engine {} has translated {} traces in {} cases", options_.engine, traces, run_),
            "it has to translate even code that is written again and again");
    }
    return {};
}

// Fills in a trial by its number; returns the case for the native processor.
Result<TestCase> Session::prepare(Trial& trial) {
    Random random(options_.seed, trial.number);
    constexpr unsigned attempts = 10'000;
    for (unsigned i = 0; i < attempts; ++i) {
        generator_->make(random, trial.generated);
        trial.mode = system_mode(random, trial.generated, options_.width);
        if (!transposed_) {
            return trial.generated.input;
        }
        if (const auto wide = trial.transposition.transpose(trial.generated)) {
            return *wide;
        }
        ++counts_[trial.generated.instructions.front().form].without_equivalent;
    }
    return fail("nothing that the filter allows has a 64-bit equivalent");
}

Result<void> Session::run_batch(std::uint64_t first, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
        batch_[i].number = first + i;
        auto input = prepare(batch_[i]);
        if (!input) {
            return std::unexpected(input.error());
        }
        native_->inputs()[i] = *input;
    }
    if (auto sent = native_->submit(count); !sent) {
        return sent;
    }
    if (guest_ != nullptr) {
        for (std::uint32_t i = 0; i < count; ++i) {
            guest_->run(batch_[i].generated.input, batch_[i].mode, batch_[i].other);
        }
    }
    auto outcomes = native_->collect();
    if (outcomes && guest_ == nullptr) {
        for (std::uint32_t i = 0; i < count; ++i) {
            batch_[i].other = (*outcomes)[i];
        }
        if (auto sent = native_->submit(count); !sent) {
            return sent;
        }
        outcomes = native_->collect();
    }
    if (!outcomes) {
        return std::unexpected(outcomes.error());
    }
    const auto native_outcome = [&](std::uint32_t i) {
        const Outcome& native = (*outcomes)[i];
        return transposed_ ? batch_[i].transposition.restore(batch_[i].generated, native) : native;
    };
    std::vector<std::uint32_t> differing;
    for (std::uint32_t i = 0; i < count; ++i) {
        const Outcome native = native_outcome(i);
        if (comparable(batch_[i], native) && !disagreement(batch_[i], native).empty()) {
            differing.push_back(i);
        } else {
            judge(batch_[i], native);
        }
    }
    if (differing.empty()) {
        return {};
    }
    // What the processor does once may be the host's doing: under a hypervisor a breakpoint was seen to
    // arrive as #UD, once in millions. What it does twice is the processor's.
    if (auto sent = native_->submit(count); !sent) {
        return sent;
    }
    outcomes = native_->collect();
    if (!outcomes) {
        return std::unexpected(outcomes.error());
    }
    for (const std::uint32_t i : differing) {
        const std::uint64_t before = different_;
        judge(batch_[i], native_outcome(i));
        if (different_ == before) {
            fmt::print("case {}: natively one thing, then another: the second counts\n", batch_[i].number);
        }
    }
    return {};
}

// Self-made code asked the kernel, or nobody knows what it was: nothing to compare.
bool Session::comparable(const Trial& trial, const Outcome& native) {
    return native.ending != Ending::syscall && !repeats_changed_code(trial.generated, native);
}

std::vector<std::string> Session::disagreement(const Trial& trial, const Outcome& native) const {
    const GeneratedCase& generated = trial.generated;
    Tolerance tolerance = tolerance_of(generated, native);
    tolerance.narrow = options_.width != 64;
    tolerance.x87_pointers |= transposed_;
    if (transposed_ && clears_all_vectors(generated)) {
        constexpr std::uint16_t of_64_bit_mode = 0xFF00;
        tolerance.vectors |= of_64_bit_mode;
    }
    return differences(generated.input, native, trial.other, tolerance);
}

void Session::judge(const Trial& trial, const Outcome& native) {
    ++run_;
    if (!comparable(trial, native)) {
        ++refused_;
        return;
    }
    const GeneratedCase& generated = trial.generated;
    const auto lines = disagreement(trial, native);
    FormCount& count = counts_[generated.instructions.front().form];
    ++count.cases;
    const bool fault = native.registers.rip == generated.input.registers.rip;
    fault ? ++count.faulted : ++count.completed;
    if (!lines.empty()) {
        ++count.different;
        ++different_;
    }
    if (!lines.empty() || options_.verbose) {
        show(trial, native, lines);
    }
}

void Session::show(const Trial& trial, const Outcome& native, const std::vector<std::string>& lines) const {
    constexpr std::array modes{"long mode", "protected mode", "virtual-8086 mode"};
    const GeneratedCase& generated = trial.generated;
    fmt::print("--- case {} {}({}-bit code in {})\n", trial.number, lines.empty() ? "" : "DIFFERS ",
               options_.width, modes[static_cast<std::size_t>(trial.mode)]);
    for (const Planned& planned : generated.instructions) {
        const std::size_t offset = planned.address - generated.input.code_address;
        const auto bytes = std::span(generated.input.code).subspan(offset, planned.decoded.info.length);
        fmt::print("  {:#x}: {:02x}  {}\n", planned.address, fmt::join(bytes, " "),
                   disassembler_.format(bytes, planned.address));
    }
    fmt::print("{}  natively: {}, rip {:#x}\n", describe_input(generated.input), describe_ending(native),
               native.registers.rip);
    for (const auto& line : lines) {
        fmt::print("  * {}\n", line);
    }
    std::string filters;
    for (const auto& filter : options_.filters) {
        filters += fmt::format(" --filter '{}'", filter);
    }
    fmt::print("  again: strata_oracle --seed {:#x} --mode {} --length {} --case {}{}\n\n", options_.seed,
               options_.width, options_.max_instructions, trial.number, filters);
    std::fflush(stdout);
}

void Session::print_forms() const {
    for (const Form* form : chosen_) {
        fmt::print("{}\n", form->name);
    }
}

void Session::print_summary() const {
    std::uint64_t forms = 0, only_faulted = 0, without_equivalent = 0;
    std::map<std::string, std::uint64_t> mnemonics;
    for (const auto& [form, count] : counts_) {
        if (count.cases == 0) {
            ++without_equivalent;
            continue;
        }
        ++forms;
        only_faulted += count.completed == 0;
        if (count.different != 0) {
            mnemonics[ZydisMnemonicGetString(form->mnemonic)] += count.different;
        }
    }
    fmt::print("{} cases, {} differ; {} of {} forms compared ({} of these only faulted); {} forms skipped\n",
               run_, different_, forms, compared_.size(), only_faulted, forms_.size() - compared_.size());
    if (without_equivalent != 0) {
        fmt::print("{} forms have no 64-bit equivalent\n", without_equivalent);
    }
    for (const auto& [name, count] : mnemonics) {
        fmt::print("  {:<16} {}\n", name, count);
    }
}

Result<void> Session::write_coverage(const std::string& file) const {
    std::ofstream out(file);
    out << "form\tcases\tcompleted\tfaulted\tdifferent\tskipped because\n";
    for (const Form& form : forms_) {
        const auto found = counts_.find(&form);
        const FormCount count = found == counts_.end() ? FormCount{} : found->second;
        const bool no_equivalent = count.cases == 0 && count.without_equivalent != 0;
        out << fmt::format("{}\t{}\t{}\t{}\t{}\t{}\n", form.name, count.cases, count.completed, count.faulted,
                           count.different, no_equivalent ? "it has no 64-bit equivalent" : form.skipped);
    }
    out.flush();
    return out ? Result<void>{} : fail_errno("write", file);
}

} // namespace strata::oracle
