// Instructions, and the values that they make.
#include "cpu/translator/host_step.hpp"

namespace strata::cpu::translator {

using Kind = Meaning::Kind;

HostStep::HostStep(const HostCode& code) : code_(code), begin_(code.native.entry) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (const Trap& trap : code.traps) {
        handlers_[trap.instruction] = trap.handler;
    }
    for (const RegionUse& use : code.native.regions) {
        uses_[use.number] = &use;
    }
}

// ---- values ----

// A field that was not touched since the trace was entered.
LinearValue HostStep::initial(std::int64_t distance) {
    const std::int64_t in_regions = distance - code_.layout.region(0);
    constexpr auto size = static_cast<std::int64_t>(sizeof(Region));
    if (in_regions >= 0 && in_regions < Regions::capacity * size) {
        return symbols_.value(Kind::region, static_cast<std::uint64_t>(in_regions / size),
                              static_cast<std::uint64_t>(in_regions % size));
    }
    return symbols_.value(Kind::entry_state, static_cast<std::uint64_t>(distance));
}

LinearValue HostStep::defined(Place place) {
    return symbols_.value(Kind::defined, static_cast<std::uint64_t>(at_ - begin_),
                          static_cast<std::uint64_t>(place));
}

void HostStep::forget(HostState& state, unsigned number) {
    state.registers[number] = defined(place_of_register(number));
}

// The sum of a memory operand's parts, if the processor's stack pointer is none of them.
LinearValue HostStep::sum(const HostState& state, const ZydisDecodedOperand& operand) {
    auto value = LinearValue::of_constant(static_cast<std::uint64_t>(operand.mem.disp.value));
    const auto add = [&](ZydisRegister name, std::uint64_t factor) {
        if (name == ZYDIS_REGISTER_NONE) {
            return;
        }
        if (ZydisRegisterGetClass(name) != ZYDIS_REGCLASS_GPR64 || name == ZYDIS_REGISTER_RSP) {
            throw Wrong{"no linear address"};
        }
        value = value.plus(state.registers[number_of(name)], factor).value_or(defined(place_of_register(16)));
    };
    add(operand.mem.base, 1);
    add(operand.mem.index, operand.mem.scale);
    return value;
}

// A guest may add up more than there is room for: a result gets a name of its own in time, so that there is
// room for what checks add to it.
std::optional<LinearValue> HostStep::unless_long(const LinearValue& value) const {
    constexpr std::size_t most_terms = 3;
    const bool of_check = std::ranges::any_of(value.terms(), [this](const LinearValue::Term& term) {
        const Kind kind = symbols_.meaning(term.symbol).kind;
        return kind == Kind::region || kind == Kind::tag || kind == Kind::page || kind == Kind::tlb_addend;
    });
    return of_check || value.terms().size() <= most_terms ? std::optional(value) : std::nullopt;
}

const Meaning* HostStep::meaning(const LinearValue& value) const {
    const auto symbol = value.symbol();
    return symbol ? &symbols_.meaning(*symbol) : nullptr;
}

std::int64_t HostStep::distance_of(const HostState& state, const ZydisDecodedOperand& operand) {
    return operand.mem.disp.value - std::int64_t{8} * state.pushed;
}

LinearValue& HostStep::field(HostState& state, std::int64_t distance) {
    return state.fields.try_emplace(distance, initial(distance)).first->second;
}

// ---- instructions ----

// Whether it goes on behind the instruction.
bool HostStep::step(HostState& state, const std::optional<Check>& check) {
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
        look_at_unit(state);
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

// What the first operand becomes, as far as that can be told; and what a check says.
std::optional<LinearValue> HostStep::result_of(HostState& state) {
    const ZydisDecodedOperand& first = operands_[0];
    const ZydisDecodedOperand& second = operands_[1];
    const auto of_second = [&] { return state.registers[number_of(second.reg.value)]; };
    switch (info_.mnemonic) {
    case ZYDIS_MNEMONIC_LEA:
        return info_.operand_width == 64
                   ? unless_long(sum(state, second))
                   : symbols_.value(Kind::low_half, symbols_.number(sum(state, second)));
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
        return is_whole(first) ? state.registers[number_of(first.reg.value)].plus(LinearValue::of_constant(
                                     info_.mnemonic == ZYDIS_MNEMONIC_INC ? 1 : ~std::uint64_t{0}))
                               : std::nullopt;
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
        return is_whole(first) && second.type == ZYDIS_OPERAND_TYPE_REGISTER && second.size >= 16
                   ? std::optional(symbols_.value(Kind::extended, second.size, symbols_.number(of_second())))
                   : std::nullopt;
    case ZYDIS_MNEMONIC_SARX: return shifted(state);
    case ZYDIS_MNEMONIC_PEXT: return extracted(state);
    case ZYDIS_MNEMONIC_ADCX:
    case ZYDIS_MNEMONIC_ADOX: note_check(state); return std::nullopt;
    default: return std::nullopt;
    }
}

std::optional<LinearValue> HostStep::loaded(HostState& state, const ZydisDecodedOperand& from) {
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

std::optional<LinearValue> HostStep::extracted(HostState& state) {
    if (!is_whole(operands_[1]) || !is_field(operands_[2])) {
        return std::nullopt;
    }
    const std::int64_t mask = distance_of(state, operands_[2]);
    const std::uint64_t from = symbols_.number(state.registers[number_of(operands_[1].reg.value)]);
    const StateLayout& layout = code_.layout;
    if (mask == layout.index_mask || mask == layout.jump_mask || mask == layout.x87_control_mask) {
        return symbols_.value(Kind::index, static_cast<std::uint64_t>(mask), from);
    }
    if (mask == layout.bit_numbers(2) || mask == layout.bit_numbers(4) || mask == layout.bit_numbers(8)) {
        return symbols_.value(Kind::bit, static_cast<std::uint64_t>(mask), from);
    }
    return mask == layout.page_mask ? std::optional(symbols_.value(Kind::page, from)) : std::nullopt;
}

std::optional<LinearValue> HostStep::shifted(HostState& state) {
    const auto count = state.registers[number_of(operands_[2].reg.value)].constant();
    if (!is_whole(operands_[0]) || !is_whole(operands_[1]) || !count) {
        return std::nullopt;
    }
    return symbols_.value(Kind::shifted, *count,
                          symbols_.number(state.registers[number_of(operands_[1].reg.value)]));
}

// The sum that carries unless (address - base) lies within the region's limit.
void HostStep::note_check(HostState& state) {
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

void HostStep::overwrite(HostState& state, const ZydisDecodedOperand& operand) {
    if (!is_written(operand)) {
        return;
    }
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operand.reg.value)) {
        const unsigned number = number_of(operand.reg.value);
        if (number == host_rsp) {
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
        static_cast<void>(field(state, distance_of(state, operand)) = defined(distance_of(state, operand)));
    }
}

void HostStep::pop(HostState& state) {
    if (--state.pushed < 0) {
        throw Wrong{"pops what is not its own"};
    }
    if (is_whole(operands_[0])) {
        forget(state, number_of(operands_[0].reg.value));
    }
}

} // namespace strata::cpu::translator
