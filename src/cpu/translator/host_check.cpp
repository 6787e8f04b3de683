#include "cpu/translator/host_check.hpp"

#include "cpu/translator/host_step.hpp"

#include <fmt/format.h>
#include <set>
#include <utility>

namespace strata::cpu::translator {

namespace {

using Kind = Meaning::Kind;

class Prover final : private HostStep {
public:
    using HostStep::HostStep;

    std::optional<std::string> run() {
        try {
            pass(); // finds where paths meet
            for (auto& [place, doubts] : doubts_) {
                doubts = {};
            }
            do {
                pass();
            } while (less_is_known_);
        } catch (const Wrong& wrong) {
            return fmt::format("at +{}: {}: {}", at_ - begin_, text(), wrong.what);
        }
        return std::nullopt;
    }

private:
    // ---- paths ----

    // Goes along each path once. Where one meets another, what they disagree about is noted and is unknown
    // from then on, or, if the place has been passed by then, from the beginning in the next pass; so what
    // depends on each other, as an address and what a check has covered, stays so. What lies behind is
    // followed first, since there is what is seldom run, which leads back to places before it.
    void pass() {
        known_.clear();
        less_is_known_ = false;
        HostState entered;
        for (unsigned i = 0; i < entered.registers.size(); ++i) {
            entered.registers[i] = symbols_.value(Kind::entry_register, i);
        }
        for (const std::uint8_t* entry :
             {code_.native.entry, code_.native.start, code_.native.start_with_vectors}) {
            flow_to(entry, entered);
        }
        while (!waiting_.empty()) {
            at_ = *waiting_.rbegin();
            waiting_.erase(at_);
            follow(known_.at(at_));
        }
    }

    // Straight on from at_, as far as it goes.
    void follow(HostState state) {
        for (bool on = true; on;) {
            if (at_ < begin_ || at_ >= code_.end ||
                ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder_, at_, static_cast<ZyanUSize>(code_.end - at_),
                                                   &info_, operands_.data()))) {
                throw Wrong{"no code"};
            }
            next_ = at_ + info_.length;
            if (const auto handler = handlers_.find(at_); handler != handlers_.end()) {
                flow_to(handler->second, state);
            }
            const auto check = std::exchange(check_, std::nullopt);
            on = step(state, check);
            at_ = next_;
            if (on && doubts_.contains(at_)) {
                flow_to(at_, state);
                return;
            }
        }
    }

    void flow_to(const std::uint8_t* target, const HostState& state) override {
        if (target < begin_ || target >= code_.end) {
            throw Wrong{"leads out of the trace"};
        }
        Doubts& doubts = doubts_[target];
        if (const auto found = known_.find(target); found != known_.end()) {
            if (!differ(found->second, state, doubts)) {
                return;
            }
            if (waiting_.contains(target)) {
                forget(found->second, target, doubts);
            } else {
                less_is_known_ = true;
            }
            return;
        }
        forget(known_.emplace(target, state).first->second, target, doubts);
        waiting_.insert(target);
    }

    // What is not the same on all paths to a place.
    struct Doubts {
        std::set<Place> places;
        std::set<unsigned> regions, missed;
        std::set<std::pair<std::uint64_t, std::uint64_t>> tlb;
    };

    // What is doubted where it arrives.
    void forget(HostState& arriving, const std::uint8_t* target, const Doubts& doubts) {
        for (const Place place : doubts.places) {
            value_at(arriving, place) = symbols_.value(
                Kind::joined, static_cast<std::uint64_t>(target - begin_), static_cast<std::uint64_t>(place));
        }
        std::erase_if(arriving.covered,
                      [&](const auto& item) { return doubts.regions.contains(item.first); });
        std::erase_if(arriving.covered_by_tlb, [&](const auto& item) { return doubts.tlb.contains(item); });
        arriving.missed.insert(doubts.missed.begin(), doubts.missed.end());
    }

    // Whether there is a new doubt.
    bool differ(const HostState& known, const HostState& other, Doubts& doubts) {
        bool more = false;
        const auto doubt = [&more](bool differs, auto& doubted, const auto& item) {
            more |=
                differs && doubted.insert(item).second; // what is doubted already differs from each new one
        };
        if (known.pushed != other.pushed) {
            throw Wrong{"the stack's depth differs"};
        }
        for (unsigned i = 0; i < known.registers.size(); ++i) {
            doubt(!(known.registers[i] == other.registers[i]), doubts.places, place_of_register(i));
        }
        for (const auto& [distance, value] : known.fields) {
            const auto found = other.fields.find(distance);
            doubt(!(value == (found == other.fields.end() ? initial(distance) : found->second)),
                  doubts.places, distance);
        }
        for (const auto& [distance, value] : other.fields) {
            doubt(!known.fields.contains(distance) && !(value == initial(distance)), doubts.places, distance);
        }
        for (const auto& [region, lowest] : known.covered) {
            const auto found = other.covered.find(region);
            doubt(found == other.covered.end() || !(found->second == lowest), doubts.regions, region);
        }
        for (const auto& item : known.covered_by_tlb) {
            doubt(!other.covered_by_tlb.contains(item), doubts.tlb, item);
        }
        for (const unsigned region : other.missed) {
            doubt(!known.missed.contains(region), doubts.missed, region);
        }
        return more;
    }

    LinearValue& value_at(HostState& state, Place place) {
        return place < 0 ? state.registers[static_cast<std::size_t>(-1 - place)] : field(state, place);
    }

    std::map<const std::uint8_t*, HostState> known_;
    std::map<const std::uint8_t*, Doubts> doubts_; // of each place where paths meet
    bool less_is_known_ = false;                   // than the pass assumed
    std::set<const std::uint8_t*> waiting_;
};

} // namespace

std::optional<std::string> find_escape(const HostCode& code) { return Prover(code).run(); }

} // namespace strata::cpu::translator
