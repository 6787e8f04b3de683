// Every step makes a candidate, tries it, and keeps it if it still differs, be it in another way: delta
// debugging, as of A. Zeller and R. Hildebrandt, "Simplifying and isolating failure-inducing input".
#include "cpu/lockstep/reducer.hpp"

#include "base/bytes.hpp"
#include "cpu/x86/state_fields.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace strata::cpu::lockstep {
namespace {

using memory::GuestPhysical;
using memory::page_size;

constexpr std::byte nop{0x90}, hlt{0xF4};
constexpr std::size_t most_instructions = 1000;  // are looked at one by one
constexpr std::uint64_t most_single_steps = 100; // are tried of those that a case begins with

// Ways to run a case, the simplest to understand first.
constexpr std::array paces{Pace{.runs_before_translation = 1, .briefly = true},
                           Pace{.runs_before_translation = 1, .briefly = false},
                           Pace{.runs_before_translation = 30, .briefly = false}};

// What a processor's mode hangs on: with anything else here, a case would be of another kind.
bool keeps(std::string_view name) {
    constexpr std::array kept{"rip", "cr0", "cr3", "cr4", "efer", "xcr0", "activity", "mxcsr", "fcw"};
    return std::ranges::find(kept, name) != kept.end() || name.starts_with("cs.") ||
           name.starts_with("ss.") || name.ends_with(".attributes") || name.ends_with(".limit") ||
           name.ends_with(".unusable");
}

} // namespace

Result<std::optional<Reduced>> Reducer::reduce(const Case& given) {
    trials_ = 0;
    const auto differs = begin(given);
    if (!differs) {
        return std::unexpected(differs.error());
    }
    if (!*differs) {
        return std::nullopt;
    }
    for (std::size_t before = ~std::size_t{0}, now = before - 1; now < before;) {
        before = std::exchange(now, reduce_code());
    }
    leave_out_surroundings();
    simplify_state();
    leave_out_words();
    Reduced reduced{case_, difference_->report, {}, trials_};
    for (const Code& code : code()) {
        reduced.instructions.push_back(code.text);
    }
    return reduced;
}

// How many instructions remain.
std::size_t Reducer::reduce_code() {
    follow_evidence();
    begin_later();
    leave_out_instructions();
    move_together();
    end_with_halt();
    return code().size();
}

// Finds out how the case has to be run to differ.
Result<bool> Reducer::begin(const Case& given) {
    for (const Pace& pace : paces) {
        pace_ = pace;
        ++trials_;
        auto tried = try_case(given, make_leader_, pace);
        if (!tried) {
            return std::unexpected(tried.error());
        }
        if (*tried) {
            case_ = given;
            difference_ = std::move(*tried);
            return true;
        }
    }
    return false;
}

bool Reducer::accept(const Case& candidate) {
    ++trials_;
    auto tried = try_case(candidate, make_leader_, pace_);
    if (!tried || !*tried) {
        return false;
    }
    case_ = candidate;
    if ((*tried)->found.state == candidate.state) {
        case_.instructions = (*tried)->found.instructions;
    }
    difference_ = std::move(*tried);
    return true;
}

// A case that differs only after a while has a later one within it.
void Reducer::follow_evidence() {
    Case before = case_;
    do {
        before = case_;
    } while (accept(Case(difference_->found)) && case_.instructions < before.instructions);
}

void Reducer::begin_later() {
    for (std::uint64_t step = case_.instructions / 2; step > 0; step /= 2) {
        while (begin_later(step)) {
        }
    }
    for (std::uint64_t step = std::min(case_.instructions, most_single_steps); step > 0; --step) {
        if (begin_later(step)) {
            return;
        }
    }
}

bool Reducer::begin_later(std::uint64_t instructions) {
    const auto later = lockstep::begin_later(case_, instructions);
    return later && *later && accept(**later);
}

// ---- instructions ----

void Reducer::put(Case& into, GuestPhysical at, const std::vector<std::byte>& bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const GuestPhysical byte = at + i;
        into.pages[byte & ~(page_size - 1)][byte % page_size] = bytes[i];
    }
}

std::vector<Reducer::Code> Reducer::code() const {
    const auto memory = case_.make_memory();
    const auto instructions = instructions_of(
        case_, std::min<std::size_t>(std::max<std::uint64_t>(case_.instructions, 1), most_instructions));
    std::map<std::uint64_t, Code> found;
    if (!memory || !instructions) {
        return {};
    }
    for (const Instruction& instruction : *instructions) {
        const auto length = instruction.decoded.length;
        std::vector<std::byte> bytes(length);
        if (instruction.physical && (*memory)->read(*instruction.physical, bytes.data(), length) &&
            !std::ranges::all_of(bytes, [](std::byte b) { return b == nop; })) {
            found[instruction.linear] = {instruction.linear, *instruction.physical, std::move(bytes),
                                         instruction.text()};
        }
    }
    std::vector<Code> all;
    for (auto& [linear, code] : found) {
        all.push_back(std::move(code));
    }
    return all;
}

void Reducer::leave_out_instructions() {
    const std::vector<Code> all = code();
    leave_out(all.size(), [&](Case& candidate, std::size_t which) {
        put(candidate, all[which].physical, std::vector(all[which].bytes.size(), nop));
    });
}

// What was left out between others goes behind them.
void Reducer::move_together() {
    const std::vector<Code> all = code();
    if (all.size() < 2) {
        return;
    }
    const GuestPhysical first = all.front().physical;
    const GuestPhysical end = all.back().physical + all.back().bytes.size();
    if (end - first > page_size) {
        return;
    }
    Case candidate = case_;
    put(candidate, first, std::vector(end - first, nop));
    GuestPhysical at = first;
    for (const Code& code : all) {
        put(candidate, at, code.bytes);
        at += code.bytes.size();
    }
    static_cast<void>(accept(candidate));
}

void Reducer::end_with_halt() {
    const std::vector<Code> all = code();
    if (!all.empty() && all.back().bytes.front() != hlt) {
        Case candidate = case_;
        put(candidate, all.back().physical + all.back().bytes.size(), {hlt});
        static_cast<void>(accept(candidate));
    }
}

// ---- state and memory ----

void Reducer::leave_out_surroundings() {
    Case candidate = case_;
    candidate.stretch = {};
    candidate.tsc_hz = Case{}.tsc_hz;
    static_cast<void>(accept(candidate));
    candidate = case_;
    for (auto page = candidate.pages.begin(); page != candidate.pages.end();) {
        page = page->second == Page{} ? candidate.pages.erase(page) : std::next(page);
    }
    static_cast<void>(accept(candidate));
}

void Reducer::simplify_state() {
    for (const std::uint64_t initial : {1, 0}) { // as after a reset, then 0
        std::vector<const x86::StateField*> fields;
        for (const x86::StateField& field : x86::state_fields()) {
            const std::uint64_t value = get(case_.state, field);
            if (!keeps(field.name) && value != 0 && value != get(x86::State{}, field)) {
                fields.push_back(&field);
            }
        }
        leave_out(fields.size(), [&](Case& candidate, std::size_t which) {
            set(candidate.state, *fields[which], initial * get(x86::State{}, *fields[which]));
        });
    }
}

void Reducer::leave_out_words() {
    struct Word {
        GuestPhysical page;
        std::size_t at;
    };

    std::vector<Word> words;
    for (const auto& [address, page] : case_.pages) {
        for (std::size_t at = 0; at < page.size(); at += sizeof(std::uint64_t)) {
            if (load_le<std::uint64_t>(&page[at]) != 0) {
                words.push_back({address, at});
            }
        }
    }
    leave_out(words.size(), [&](Case& candidate, std::size_t which) {
        store_le(&candidate.pages[words[which].page][words[which].at], std::uint64_t{0});
    });
    std::erase_if(case_.pages, [](const auto& page) { return page.second == Page{}; });
}

// Takes away as many of so many parts as it can, all at once or in halves.
void Reducer::leave_out(std::size_t count, const std::function<void(Case&, std::size_t)>& remove) {
    if (count != 0) {
        leave_out(0, count, remove);
    }
}

void Reducer::leave_out(std::size_t first, std::size_t count,
                        const std::function<void(Case&, std::size_t)>& remove) {
    Case candidate = case_;
    for (std::size_t i = first; i < first + count; ++i) {
        remove(candidate, i);
    }
    if (!accept(candidate) && count > 1) {
        leave_out(first, count / 2, remove);
        leave_out(first + count / 2, count - count / 2, remove);
    }
}

} // namespace strata::cpu::lockstep
