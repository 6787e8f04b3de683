// Where control goes, what stubs do, and whether an access keeps within bounds.
#include "cpu/translator/host_step.hpp"

namespace strata::cpu::translator {

using Kind = Meaning::Kind;

namespace {

// What a guest's instruction adds to rSP, if it does nothing else to it.
std::uint64_t pushed_by(const TraceInstruction& instruction) {
    const Decoded& decoded = instruction.decoded;
    if (!instruction.known || decoded.info.operand_width != decoded.word() * 8) {
        return 0;
    }
    const std::uint64_t word = decoded.word();
    switch (decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ: return std::uint64_t{0} - word;
    case ZYDIS_MNEMONIC_POP:
        return decoded.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                       number_of(decoded.operands[0].reg.value) == x86::rsp
                   ? 0
                   : word;
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ: return word;
    default: return 0;
    }
}

} // namespace

// ---- accesses ----

void HostStep::look_at_access(HostState& state, const ZydisDecodedOperand& operand) {
    if (operand.mem.segment != ZYDIS_REGISTER_DS && operand.mem.segment != ZYDIS_REGISTER_SS) {
        throw Wrong{"uses a segment of the host's"};
    }
    look_at_bit(state);
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
        if (of_region ? covered(state, static_cast<unsigned>(addend.a), *linear, size, is_written(operand))
                      : covered_by_tlb(state, addend.b, *linear, size)) {
            return;
        }
    }
    throw Wrong{"accesses what no check has covered"};
}

// The number of a bit in memory has to be less than the operand has.
void HostStep::look_at_bit(const HostState& state) {
    const ZydisDecodedOperand &element = operands_[0], &bit = operands_[1];
    if (!tests_bits(info_.mnemonic) || bit.type != ZYDIS_OPERAND_TYPE_REGISTER) {
        return;
    }
    const Meaning* number = meaning(state.registers[number_of(bit.reg.value)]);
    if (number == nullptr || number->kind != Kind::bit ||
        number->a != static_cast<std::uint64_t>(code_.layout.bit_numbers(element.size / 8U))) {
        throw Wrong{"reaches a bit that may be anywhere"};
    }
}

void HostStep::look_at_state_access(const HostState& state, const ZydisDecodedOperand& operand) {
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

// Of the x87 unit's control nothing but what masks all exceptions may be loaded.
void HostStep::look_at_unit(const HostState& state) {
    const ZydisDecodedOperand& from = operands_[0];
    const Meaning* index = nullptr;
    switch (info_.mnemonic) {
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64: throw Wrong{"loads a unit's state"};
    case ZYDIS_MNEMONIC_FLDCW:
        index = from.mem.base == ZYDIS_REGISTER_RSP && from.mem.index != ZYDIS_REGISTER_NONE
                    ? meaning(state.registers[number_of(from.mem.index)])
                    : nullptr;
        if (index == nullptr || index->kind != Kind::index ||
            index->a != static_cast<std::uint64_t>(code_.layout.x87_control_mask) ||
            distance_of(state, from) != code_.layout.x87_control_words) {
            throw Wrong{"loads a control word of unknown origin"};
        }
        return;
    default: return;
    }
}

bool HostStep::covered(const HostState& state, unsigned region, const LinearValue& linear, std::uint64_t size,
                       bool writes) const {
    const auto check = state.covered.find(region);
    const auto use = uses_.find(region);
    if (check == state.covered.end() || use == uses_.end() || (writes && !use->second->writes)) {
        return false;
    }
    const auto offset = linear.plus(check->second, ~std::uint64_t{0});
    const auto constant = offset ? offset->constant() : std::nullopt;
    return constant && *constant <= use->second->last && size <= use->second->last - *constant + 1;
}

bool HostStep::covered_by_tlb(const HostState& state, std::uint64_t indexed, const LinearValue& linear,
                              std::uint64_t size) const {
    return std::ranges::any_of(state.covered_by_tlb, [&](const auto& item) {
        const auto from_first = linear.plus(symbols_.numbered(indexed), ~std::uint64_t{0});
        const auto to_last = symbols_.numbered(item.second).plus(linear, ~std::uint64_t{0});
        const auto before = from_first ? from_first->constant() : std::nullopt;
        const auto behind = to_last ? to_last->constant() : std::nullopt;
        // Both lie in one page, the first before the last.
        return item.first == indexed && before && *before < memory::page_size && behind &&
               *behind < memory::page_size && *behind >= size - 1;
    });
}

// ---- control ----

void HostStep::jump(HostState& state) {
    const ZydisDecodedOperand& to = operands_[0];
    if (to.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        if (target() != code_.stubs.exit_link && target() != code_.stubs.signal) {
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

void HostStep::jump_if_zero(const HostState& state) {
    HostState zero = state;
    zero.registers[host_rcx] = LinearValue::of_constant(0);
    const auto terms = state.registers[host_rcx].terms();
    if (const Meaning* found = meaning(state.registers[host_rcx]);
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
bool HostStep::call(HostState& state) {
    const std::uint8_t* stub = target();
    const auto argument = state.registers[host_r14].constant();
    if (stub == code_.stubs.time_stamp && operands_[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
        state.pushed == 0) {
        for (const unsigned number : {host_rax, host_rcx, host_rdx}) {
            forget(state, number);
        }
        return true;
    }
    if (operands_[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !argument || state.pushed != 0) {
        throw Wrong{"calls no stub as it wants to be called"};
    }
    const Stubs& stubs = code_.stubs;
    if (stubs.carries_out(stub)) {
        const auto* site = reinterpret_cast<const Site*>(*argument);
        interpreted(state, site);
        forget_scratch(state);
        return !site->leaves;
    }
    const bool loads = stub == stubs.load_vectors || stub == stubs.load_x87;
    if (!is_fill(stub) && stub != stubs.walk_region && !loads) {
        throw Wrong{"calls no stub"};
    }
    forget_scratch(state);
    if (!loads) {
        const auto region = static_cast<unsigned>(*argument);
        if (!uses_.contains(region)) {
            throw Wrong{"fills a region that is none of the trace's"};
        }
        refill(state, region);
        state.missed.insert(region);
        state.registers[host_rcx] = symbols_.value(Kind::filled, region);
        state.registers[host_r14] = LinearValue::of_constant(*argument); // or an addend, which is loaded anew
    }
    return true;
}

bool HostStep::is_fill(const std::uint8_t* stub) const {
    for (const auto& of_width : code_.stubs.fill_regions) {
        if (std::ranges::any_of(of_width, [&](const auto& stubs) { return contains(stubs, stub); })) {
            return true;
        }
    }
    return false;
}

void HostStep::forget_scratch(HostState& state) {
    for (const unsigned number : {host_rcx, host_r14, host_r15}) {
        forget(state, number);
    }
}

// The region's contents change.
void HostStep::refill(HostState& state, unsigned region) {
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
void HostStep::interpreted(HostState& state, const Site* site) {
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

std::string HostStep::text() const {
    std::array<char, 128> buffer{};
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    ZydisFormatterFormatInstruction(&formatter, &info_, operands_.data(), info_.operand_count_visible,
                                    buffer.data(), buffer.size(), ZYDIS_RUNTIME_ADDRESS_NONE, nullptr);
    return buffer.data();
}

} // namespace strata::cpu::translator
