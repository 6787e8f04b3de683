#include "cpu/translator/host_check.hpp"

#include "cpu/translator/host_state.hpp"

#include <Zydis/Zydis.h>
#include <algorithm>
#include <fmt/format.h>
#include <ranges>

namespace strata::cpu::translator {

namespace {

using Kind = Meaning::Kind;

constexpr unsigned rcx = 1, rsp = 4, r14 = 14, r15 = 15;

bool is_whole(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
           ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_GPR64;
}

// A field of the processor's state at a fixed distance.
bool is_field(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RSP &&
           operand.mem.index == ZYDIS_REGISTER_NONE;
}

template <class Range, class Value>
bool contains(const Range& range, const Value& value) {
    return std::ranges::find(range, value) != std::ranges::end(range);
}

// What a guest's instruction adds to rSP, if it does nothing else to it.
std::uint64_t pushed_by(const TraceInstruction& instruction) {
    constexpr std::uint64_t word = 8;
    const Decoded& decoded = instruction.decoded;
    if (!instruction.known || decoded.info.operand_width != 64) {
        return 0;
    }
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_PUSHFQ: return std::uint64_t{0} - word;
    case ZYDIS_MNEMONIC_POP:
        return decoded.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                       number_of(decoded.operands[0].reg.value) == x86::rsp
                   ? 0
                   : word;
    case ZYDIS_MNEMONIC_POPFQ: return word;
    default: return 0;
    }
}

struct Wrong {
    std::string what;
};

class Prover {
public:
    explicit Prover(const HostCode& code) : code_(code), begin_(code.native.entry) {
        ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        for (const Trap& trap : code.traps) {
            handlers_[trap.instruction] = trap.handler;
        }
        for (const RegionUse& use : code.native.regions) {
            uses_[use.number] = &use;
        }
    }

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
    // from the beginning in the next pass; so what depends on each other, as an address and what a check has
    // covered, stays so.
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
            at_ = *waiting_.begin();
            waiting_.erase(waiting_.begin());
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

    void flow_to(const std::uint8_t* target, const HostState& state) {
        if (target < begin_ || target >= code_.end) {
            throw Wrong{"leads out of the trace"};
        }
        Doubts& doubts = doubts_[target];
        if (const auto found = known_.find(target); found != known_.end()) {
            compare(found->second, state, doubts);
            return;
        }
        HostState& arriving = known_.emplace(target, state).first->second;
        for (const Place place : doubts.places) {
            value_at(arriving, place) = symbols_.value(
                Kind::joined, static_cast<std::uint64_t>(target - begin_), static_cast<std::uint64_t>(place));
        }
        std::erase_if(arriving.covered,
                      [&](const auto& item) { return doubts.regions.contains(item.first); });
        std::erase_if(arriving.covered_by_tlb, [&](const auto& item) { return doubts.tlb.contains(item); });
        arriving.missed.insert(doubts.missed.begin(), doubts.missed.end());
        waiting_.insert(target);
    }

    // What is not the same on all paths to a place.
    struct Doubts {
        std::set<Place> places;
        std::set<unsigned> regions, missed;
        std::set<std::pair<std::uint64_t, std::uint64_t>> tlb;
    };

    void compare(HostState& known, const HostState& other, Doubts& doubts) {
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
    }

    // A value that was doubted when it came to the place differs from each new one.
    template <class Item>
    void doubt(bool differs, std::set<Item>& doubted, const Item& item) {
        if (differs && doubted.insert(item).second) {
            less_is_known_ = true;
        }
    }

    LinearValue& value_at(HostState& state, Place place) {
        return place < 0 ? state.registers[static_cast<std::size_t>(-1 - place)] : field(state, place);
    }

    // ---- values ----

    // A field that was not touched since the trace was entered.
    LinearValue initial(std::int64_t distance) {
        const std::int64_t in_regions = distance - code_.layout.region(0);
        constexpr auto size = static_cast<std::int64_t>(sizeof(Region));
        if (in_regions >= 0 && in_regions < Regions::capacity * size) {
            return symbols_.value(Kind::region, static_cast<std::uint64_t>(in_regions / size),
                                  static_cast<std::uint64_t>(in_regions % size));
        }
        return symbols_.value(Kind::entry_state, static_cast<std::uint64_t>(distance));
    }

    LinearValue defined(Place place) {
        return symbols_.value(Kind::defined, static_cast<std::uint64_t>(at_ - begin_),
                              static_cast<std::uint64_t>(place));
    }

    void forget(HostState& state, unsigned number) {
        state.registers[number] = defined(place_of_register(number));
    }

    // The sum of a memory operand's parts, if the processor's stack pointer is none of them.
    LinearValue sum(const HostState& state, const ZydisDecodedOperand& operand) {
        auto value = LinearValue::of_constant(static_cast<std::uint64_t>(operand.mem.disp.value));
        const auto add = [&](ZydisRegister name, std::uint64_t factor) {
            if (name == ZYDIS_REGISTER_NONE) {
                return;
            }
            if (ZydisRegisterGetClass(name) != ZYDIS_REGCLASS_GPR64 || name == ZYDIS_REGISTER_RSP) {
                throw Wrong{"no linear address"};
            }
            value =
                value.plus(state.registers[number_of(name)], factor).value_or(defined(place_of_register(16)));
        };
        add(operand.mem.base, 1);
        add(operand.mem.index, operand.mem.scale);
        return value;
    }

    const Meaning* meaning(const LinearValue& value) const {
        const auto symbol = value.symbol();
        return symbol ? &symbols_.meaning(*symbol) : nullptr;
    }

    static std::int64_t distance_of(const HostState& state, const ZydisDecodedOperand& operand) {
        return operand.mem.disp.value - std::int64_t{8} * state.pushed;
    }

    LinearValue& field(HostState& state, std::int64_t distance) {
        return state.fields.try_emplace(distance, initial(distance)).first->second;
    }

    // ---- instructions ----

    // A check that the instruction before has made: which region, of which address, by which flag.
    struct Check {
        unsigned region;
        LinearValue lowest;
        ZydisMnemonic missed_by;
    };

    // Whether it goes on behind the instruction.
    bool step(HostState& state, const std::optional<Check>& check) {
        const ZydisDecodedOperand& first = operands_[0];
        switch (info_.mnemonic) {
        case ZYDIS_MNEMONIC_CALL: return call(state);
        case ZYDIS_MNEMONIC_JMP: return jump(state), false;
        case ZYDIS_MNEMONIC_JRCXZ: return jump_if_zero(state), true;
        case ZYDIS_MNEMONIC_RET:
        case ZYDIS_MNEMONIC_SYSCALL: throw Wrong{"leaves"};
        case ZYDIS_MNEMONIC_PUSH:
        case ZYDIS_MNEMONIC_PUSHFQ: return ++state.pushed, true;
        case ZYDIS_MNEMONIC_POP:
        case ZYDIS_MNEMONIC_POPFQ: return pop(state), true;
        default: break;
        }
        if (info_.meta.category == ZYDIS_CATEGORY_COND_BR) {
            flow_to(target(), state);
            if (check && check->missed_by == info_.mnemonic) {
                state.covered.insert_or_assign(check->region, check->lowest);
            }
            return true;
        }
        if (info_.mnemonic != ZYDIS_MNEMONIC_LEA && info_.mnemonic != ZYDIS_MNEMONIC_NOP) {
            for (const ZydisDecodedOperand& operand : std::span(operands_).first(info_.operand_count)) {
                if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
                    look_at_access(state, operand);
                }
            }
        }
        const auto result = result_of(state);
        for (const ZydisDecodedOperand& operand : std::span(operands_).first(info_.operand_count)) {
            overwrite(state, operand);
        }
        if (result && first.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(first.reg.value)) {
            state.registers[number_of(first.reg.value)] = *result;
        } else if (result && is_field(first)) {
            state.fields.insert_or_assign(distance_of(state, first), *result);
        }
        return true;
    }

    [[nodiscard]] const std::uint8_t* target() const { return next_ + operands_[0].imm.value.s; }

    // What the first operand becomes, as far as that can be told; and what a check says.
    std::optional<LinearValue> result_of(HostState& state) {
        const ZydisDecodedOperand& first = operands_[0];
        const ZydisDecodedOperand& second = operands_[1];
        const auto of_second = [&] { return state.registers[number_of(second.reg.value)]; };
        switch (info_.mnemonic) {
        case ZYDIS_MNEMONIC_LEA:
            return info_.operand_width == 64 ? std::optional(sum(state, second)) : std::nullopt;
        case ZYDIS_MNEMONIC_MOV:
            if (second.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && first.size >= 32 && !is_field(first)) {
                return LinearValue::of_constant(second.imm.value.u);
            }
            if (is_whole(second)) {
                return of_second();
            }
            return is_whole(first) ? loaded(state, second) : std::nullopt;
        case ZYDIS_MNEMONIC_ADD:
        case ZYDIS_MNEMONIC_SUB:
            if (is_whole(first) && second.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
                const auto factor = info_.mnemonic == ZYDIS_MNEMONIC_ADD ? 1 : ~std::uint64_t{0};
                return state.registers[number_of(first.reg.value)].plus(
                    LinearValue::of_constant(second.imm.value.u), factor);
            }
            return std::nullopt;
        case ZYDIS_MNEMONIC_INC:
        case ZYDIS_MNEMONIC_DEC:
            return is_whole(first)
                       ? state.registers[number_of(first.reg.value)].plus(LinearValue::of_constant(
                             info_.mnemonic == ZYDIS_MNEMONIC_INC ? 1 : ~std::uint64_t{0}))
                       : std::nullopt;
        case ZYDIS_MNEMONIC_PEXT: return extracted(state);
        case ZYDIS_MNEMONIC_ADCX:
        case ZYDIS_MNEMONIC_ADOX: note_check(state); return std::nullopt;
        default: return std::nullopt;
        }
    }

    std::optional<LinearValue> loaded(HostState& state, const ZydisDecodedOperand& from) {
        if (is_field(from)) {
            return field(state, distance_of(state, from));
        }
        if (from.mem.base != ZYDIS_REGISTER_RSP) {
            return std::nullopt;
        }
        const Meaning* index = meaning(state.registers[number_of(from.mem.index)]);
        const std::int64_t table = distance_of(state, from);
        const StateLayout& layout = code_.layout;
        const auto view = code_.native.view;
        if (contains(layout.jump_targets, table)) {
            return symbols_.value(Kind::target);
        }
        if (table == layout.read_tags(view) || table == layout.write_tags(view)) {
            return symbols_.value(Kind::tag, static_cast<std::uint64_t>(table), index->b);
        }
        if (table == layout.addends(view)) {
            return symbols_.value(Kind::tlb_addend, 0, index->b);
        }
        return std::nullopt;
    }

    std::optional<LinearValue> extracted(HostState& state) {
        if (!is_whole(operands_[1]) || !is_field(operands_[2])) {
            return std::nullopt;
        }
        const std::int64_t mask = distance_of(state, operands_[2]);
        const std::uint64_t from = symbols_.number(state.registers[number_of(operands_[1].reg.value)]);
        const StateLayout& layout = code_.layout;
        if (mask == layout.index_mask || mask == layout.jump_mask) {
            return symbols_.value(Kind::index, static_cast<std::uint64_t>(mask), from);
        }
        return mask == layout.page_mask ? std::optional(symbols_.value(Kind::page, from)) : std::nullopt;
    }

    // The sum that carries unless (address - base) lies within the region's limit.
    void note_check(HostState& state) {
        if (!is_whole(operands_[0]) || !is_field(operands_[1])) {
            return;
        }
        const Meaning* limit = meaning(field(state, distance_of(state, operands_[1])));
        if (limit == nullptr || limit->kind != Kind::region || limit->b != region_minus_limit) {
            return;
        }
        const auto region = static_cast<unsigned>(limit->a);
        const auto base = symbols_.value(Kind::region, region, region_minus_base);
        const auto lowest = state.registers[number_of(operands_[0].reg.value)].plus(base, ~std::uint64_t{0});
        if (lowest) {
            check_ = {region, *lowest,
                      info_.mnemonic == ZYDIS_MNEMONIC_ADCX ? ZYDIS_MNEMONIC_JB : ZYDIS_MNEMONIC_JO};
        }
    }

    void overwrite(HostState& state, const ZydisDecodedOperand& operand) {
        if (!is_written(operand)) {
            return;
        }
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operand.reg.value)) {
            const unsigned number = number_of(operand.reg.value);
            if (number == rsp) {
                throw Wrong{"changes the stack pointer"};
            }
            forget(state, number);
        } else if (is_field(operand)) {
            // Fields are eight bytes apart at least where it matters.
            for (auto& [distance, value] : state.fields) {
                const std::int64_t from = distance_of(state, operand);
                if (distance < from + operand.size / 8 && from < distance + 8) {
                    value = defined(distance);
                }
            }
            static_cast<void>(field(state, distance_of(state, operand)) =
                                  defined(distance_of(state, operand)));
        }
    }

    void pop(HostState& state) {
        if (--state.pushed < 0) {
            throw Wrong{"pops what is not its own"};
        }
        if (is_whole(operands_[0])) {
            forget(state, number_of(operands_[0].reg.value));
        }
    }

    // ---- accesses ----

    void look_at_access(HostState& state, const ZydisDecodedOperand& operand) {
        if (operand.mem.segment != ZYDIS_REGISTER_DS && operand.mem.segment != ZYDIS_REGISTER_SS) {
            throw Wrong{"uses a segment of the host's"};
        }
        if (operand.mem.base == ZYDIS_REGISTER_RSP) {
            look_at_state_access(state, operand);
            return;
        }
        if (!handlers_.contains(at_)) {
            throw Wrong{"accesses memory and is not ready for a trap"};
        }
        const LinearValue address = sum(state, operand);
        const std::uint64_t size = operand.size / 8U;
        for (const LinearValue::Term& term : address.terms()) {
            const Meaning& addend = symbols_.meaning(term.symbol);
            const bool of_region = addend.kind == Kind::region && addend.b == region_addend;
            if (term.factor != 1 || (!of_region && addend.kind != Kind::tlb_addend)) {
                continue;
            }
            const auto linear = address.plus(LinearValue::of_symbol(term.symbol), ~std::uint64_t{0});
            if (of_region
                    ? covered(state, static_cast<unsigned>(addend.a), *linear, size, is_written(operand))
                    : covered_by_tlb(state, addend.b, *linear, size)) {
                return;
            }
        }
        throw Wrong{"accesses what no check has covered"};
    }

    void look_at_state_access(const HostState& state, const ZydisDecodedOperand& operand) {
        const std::int64_t distance = distance_of(state, operand);
        if (distance < 0 || distance + operand.size / 8 > code_.layout.end) {
            throw Wrong{"accesses no state"};
        }
        if (operand.mem.index == ZYDIS_REGISTER_NONE) {
            return;
        }
        const Meaning* index = meaning(state.registers[number_of(operand.mem.index)]);
        if (is_written(operand) || operand.mem.scale != 8 || index == nullptr || index->kind != Kind::index) {
            throw Wrong{"indexes a table by what is not limited"};
        }
    }

    [[nodiscard]] bool covered(const HostState& state, unsigned region, const LinearValue& linear,
                               std::uint64_t size, bool writes) const {
        const auto check = state.covered.find(region);
        const auto use = uses_.find(region);
        if (check == state.covered.end() || use == uses_.end() || (writes && !use->second->writes)) {
            return false;
        }
        const auto offset = linear.plus(check->second, ~std::uint64_t{0});
        const auto constant = offset ? offset->constant() : std::nullopt;
        return constant && *constant <= use->second->last && size <= use->second->last - *constant + 1;
    }

    [[nodiscard]] bool covered_by_tlb(const HostState& state, std::uint64_t indexed,
                                      const LinearValue& linear, std::uint64_t size) const {
        return std::ranges::any_of(state.covered_by_tlb, [&](const auto& item) {
            const auto from_first = linear.plus(symbols_.numbered(indexed), ~std::uint64_t{0});
            const auto to_last = symbols_.numbered(item.second).plus(linear, ~std::uint64_t{0});
            return item.first == indexed && from_first && from_first->constant() == 0 && to_last &&
                   to_last->constant().value_or(0) == size - 1;
        });
    }

    // ---- control ----

    void jump(HostState& state) {
        const ZydisDecodedOperand& to = operands_[0];
        if (to.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            if (target() != code_.stubs.exit_link) {
                flow_to(target(), state);
            }
            return;
        }
        const LinearValue value =
            is_field(to) ? field(state, distance_of(state, to)) : state.registers[number_of(to.reg.value)];
        const Meaning* found = meaning(value);
        if (found == nullptr || found->kind != Kind::target || state.pushed != 0) {
            throw Wrong{"jumps to an address of unknown origin"};
        }
    }

    void jump_if_zero(const HostState& state) {
        HostState zero = state;
        zero.registers[rcx] = LinearValue::of_constant(0);
        const auto terms = state.registers[rcx].terms();
        if (const Meaning* found = meaning(state.registers[rcx]);
            found != nullptr && found->kind == Kind::filled) {
            zero.missed.erase(static_cast<unsigned>(found->a));
        } else if (terms.size() == 2) { // a tag, and the page that it was compared with
            const Meaning &one = symbols_.meaning(terms[0].symbol), &two = symbols_.meaning(terms[1].symbol);
            const Meaning &tag = one.kind == Kind::tag ? one : two, &page = one.kind == Kind::tag ? two : one;
            if (tag.kind == Kind::tag && page.kind == Kind::page) {
                zero.covered_by_tlb.insert({tag.b, page.a});
            }
        }
        flow_to(target(), zero);
    }

    // Whether the stub may return.
    bool call(HostState& state) {
        const std::uint8_t* stub = target();
        const auto argument = state.registers[r14].constant();
        if (operands_[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !argument || state.pushed != 0) {
            throw Wrong{"calls no stub as it wants to be called"};
        }
        const Stubs& stubs = code_.stubs;
        if (stub == stubs.interpret || stub == stubs.interpret_with_vectors) {
            const auto* site = reinterpret_cast<const Site*>(*argument);
            interpreted(state, site);
            forget_scratch(state);
            return !site->leaves;
        }
        if (!is_fill(stub) && stub != stubs.walk_region && stub != stubs.load_vectors) {
            throw Wrong{"calls no stub"};
        }
        forget_scratch(state);
        if (stub != stubs.load_vectors) {
            const unsigned region = reinterpret_cast<const RegionUse*>(*argument)->number;
            refill(state, region);
            state.missed.insert(region);
            state.registers[rcx] = symbols_.value(Kind::filled, region);
            state.registers[r14] = LinearValue::of_constant(*argument); // or an addend, which is loaded anew
        }
        return true;
    }

    [[nodiscard]] bool is_fill(const std::uint8_t* stub) const {
        return std::ranges::any_of(code_.stubs.fill_region,
                                   [&](const auto& stubs) { return contains(stubs, stub); });
    }

    void forget_scratch(HostState& state) {
        for (const unsigned number : {rcx, r14, r15}) {
            forget(state, number);
        }
    }

    // The region's contents change.
    void refill(HostState& state, unsigned region) {
        state.covered.erase(region);
        const auto of_region = [&](const LinearValue& value) {
            return std::ranges::any_of(value.terms(), [&](const LinearValue::Term& term) {
                const Meaning& meaning = symbols_.meaning(term.symbol);
                return meaning.kind == Kind::region && meaning.a == region;
            });
        };
        for (unsigned i = 0; i < state.registers.size(); ++i) {
            if (of_region(state.registers[i])) {
                forget(state, i);
            }
        }
        for (auto& [distance, value] : state.fields) {
            if (of_region(value) && !(value == initial(distance))) {
                value = defined(distance);
            }
        }
    }

    // The interpreter carries out the instruction, and has left unless all regions are as they were but those
    // that were missed.
    void interpreted(HostState& state, const Site* site) {
        const auto index = static_cast<std::size_t>(site - code_.native.sites.data());
        if (index >= code_.instructions.size()) {
            throw Wrong{"has an instruction interpreted that is none of the trace's"};
        }
        for (const unsigned region : std::exchange(state.missed, {})) {
            refill(state, region);
        }
        const StateLayout& layout = code_.layout;
        for (auto& [distance, value] : state.fields) {
            const bool kept = contains(layout.pointers, distance) ||
                              (distance >= layout.reg(0) && distance < layout.reg(16)) ||
                              distance >= layout.region(0);
            if (!kept) {
                value = defined(distance);
            }
        }
        const TraceInstruction& instruction = code_.instructions[index];
        const auto moved_stack = state.registers[*usual_registers.host(x86::rsp)].plus(
            LinearValue::of_constant(pushed_by(instruction)));
        for (unsigned guest = 0; guest < 16; ++guest) {
            const auto host = usual_registers.host(guest);
            const bool written =
                !instruction.known ||
                std::ranges::any_of(instruction.decoded.all(), [&](const ZydisDecodedOperand& operand) {
                    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_written(operand) &&
                           is_general(operand.reg.value) && number_of(operand.reg.value) == guest;
                });
            LinearValue& in_memory = field(state, layout.reg(guest));
            if (host) {
                if (written) {
                    forget(state, *host);
                }
                if (guest == x86::rsp && pushed_by(instruction) != 0 && moved_stack) {
                    state.registers[*host] = *moved_stack;
                }
                in_memory = state.registers[*host];
            } else if (written) {
                in_memory = defined(layout.reg(guest));
            }
        }
    }

    [[nodiscard]] std::string text() const {
        std::array<char, 128> buffer{};
        ZydisFormatter formatter;
        ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
        ZydisFormatterFormatInstruction(&formatter, &info_, operands_.data(), info_.operand_count_visible,
                                        buffer.data(), buffer.size(), ZYDIS_RUNTIME_ADDRESS_NONE, nullptr);
        return buffer.data();
    }

    const HostCode& code_;
    const std::uint8_t* begin_;
    ZydisDecoder decoder_{};
    Symbols symbols_;
    std::map<const std::uint8_t*, const std::uint8_t*> handlers_;
    std::map<unsigned, const RegionUse*> uses_; // by region
    std::map<const std::uint8_t*, HostState> known_;
    std::map<const std::uint8_t*, Doubts> doubts_; // of each place where paths meet
    bool less_is_known_ = false;                   // than the pass assumed
    std::set<const std::uint8_t*> waiting_;
    // The instruction that is looked at.
    const std::uint8_t *at_ = nullptr, *next_ = nullptr;
    ZydisDecodedInstruction info_{};
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands_{};
    std::optional<Check> check_;
};

} // namespace

std::optional<std::string> find_escape(const HostCode& code) { return Prover(code).run(); }

} // namespace strata::cpu::translator
