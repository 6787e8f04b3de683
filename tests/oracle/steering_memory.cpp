#include "steering.hpp"

#include "base/bits.hpp"
#include "guest_tables.hpp"

#include <algorithm>

namespace strata::oracle {

namespace {

std::uint64_t mask_to(unsigned bits, std::uint64_t value) {
    return bits >= 64 ? value : value & (bit(bits) - 1);
}

bool is_stack(const ZydisDecodedOperand& operand) {
    return operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
           general_register(operand.mem.base) == cpu::x86::rsp;
}

bool has_base(const ZydisDecodedOperand& operand) {
    return operand.mem.base != ZYDIS_REGISTER_NONE && operand.mem.base != ZYDIS_REGISTER_RIP &&
           operand.mem.base != ZYDIS_REGISTER_EIP;
}

} // namespace

int general_register(ZydisRegister value) {
    const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, value);
    return ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64 ? ZydisRegisterGetId(whole) : -1;
}

std::uint64_t Steering::value_of(ZydisRegister value) const {
    const int number = general_register(value);
    if (number < 0) {
        return 0;
    }
    const std::uint64_t whole = input_.registers.gpr[static_cast<std::size_t>(number)];
    const bool high_byte = value >= ZYDIS_REGISTER_AH && value <= ZYDIS_REGISTER_BH;
    return mask_to(ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, value), high_byte ? whole >> 8 : whole);
}

bool Steering::set(ZydisRegister reg, std::uint64_t value) {
    const int number = general_register(reg);
    if (number < 0 || fixed_.has(static_cast<unsigned>(number))) {
        return false;
    }
    const unsigned width = ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg);
    const unsigned shift = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH ? 8 : 0;
    const std::uint64_t mask = mask_to(width, ~std::uint64_t{0}) << shift;
    auto& whole = input_.registers.gpr[static_cast<std::size_t>(number)];
    whole = (whole & ~mask) | ((value << shift) & mask);
    return true;
}

std::uint64_t Steering::segment_base(ZydisRegister segment) const {
    const Selectors& s = input_.registers.selectors;
    if (disassembler_.width() == 64) {
        return segment == ZYDIS_REGISTER_FS ? fs_base : segment == ZYDIS_REGISTER_GS ? gs_base : 0;
    }
    switch (segment) {
    case ZYDIS_REGISTER_ES: return guest_segment(s.es).base;
    case ZYDIS_REGISTER_CS: return guest_segment(s.cs).base;
    case ZYDIS_REGISTER_SS: return guest_segment(s.ss).base;
    case ZYDIS_REGISTER_FS: return guest_segment(s.fs).base;
    case ZYDIS_REGISTER_GS: return guest_segment(s.gs).base;
    default: return guest_segment(s.ds).base;
    }
}

std::uint64_t Steering::effective_address(const Planned& planned, const ZydisDecodedOperand& operand) const {
    const auto& mem = operand.mem;
    const std::uint64_t base = has_base(operand) ? value_of(mem.base)
                               : mem.base == ZYDIS_REGISTER_NONE
                                   ? 0
                                   : planned.address + planned.decoded.info.length;
    const std::uint64_t index = mem.type == ZYDIS_MEMOP_TYPE_VSIB ? 0 : value_of(mem.index) * mem.scale;
    const auto displacement = static_cast<std::uint64_t>(mem.disp.value);
    const std::uint64_t offset = mask_to(planned.decoded.info.address_width, base + index + displacement);
    const std::uint64_t linear = offset + segment_base(mem.segment);
    return disassembler_.width() == 64 ? linear : linear & 0xFFFF'FFFF;
}

std::span<std::uint8_t> Steering::memory_at(std::uint64_t address, std::size_t size) {
    for (std::size_t i = 0; i < variable_pages.size(); ++i) {
        const std::uint64_t offset = address - (arena + variable_pages[i] * page);
        if (offset < page && !executable(rights[variable_pages[i]])) {
            return std::span(input_.memory[i]).subspan(offset, std::min<std::size_t>(size, page - offset));
        }
    }
    return {};
}

void Steering::patch(Planned& planned, unsigned offset, unsigned size, std::uint64_t value) {
    const std::size_t start = planned.address - input_.code_address;
    for (unsigned i = 0; i < size; ++i) {
        input_.code[start + offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    Decoded changed;
    if (disassembler_.decode(std::span(input_.code).subspan(start, planned.decoded.info.length), changed)) {
        planned.decoded = changed;
    }
}

std::uint64_t Steering::choose_target(std::uint64_t size, bool stack) {
    size = std::clamp<std::uint64_t>(size, 1, page / 2);
    const auto inside = [&](std::uint64_t begin, std::uint64_t end) {
        std::uint64_t address = begin + random_.below(end - begin - size + 1);
        if (random_.chance(65)) {
            address = align_down(address, std::min<std::uint64_t>(std::bit_ceil(size), 64));
        }
        return std::max(address, begin);
    };
    const auto across = [&](std::uint64_t boundary) { return boundary - random_.below(size + 1); };
    if (stack) {
        return random_.chance(85) ? inside(stack_begin, stack_end)
                                  : across(random_.chance(50) ? stack_begin : stack_end);
    }
    const auto choice = random_.below(100);
    constexpr std::uint64_t constants_unmapped = constant_end, far_away = 0x7000'0000;
    if (choice < 64) {
        return inside(data_begin, data_end);
    }
    if (choice < 72) {
        return across(data_begin + page);
    }
    if (choice < 76) {
        return across(data_end);
    }
    if (choice < 81) {
        return inside(constant_begin, constant_end);
    }
    if (choice < 84) {
        return across(constants_unmapped);
    }
    if (choice < 87) {
        return across(data_begin);
    }
    if (choice < 90) {
        return inside(constants_unmapped, constants_unmapped + page);
    }
    if (choice < 93) {
        return inside(stack_begin, stack_end);
    }
    if (choice < 95) {
        return inside(code_begin, code_end);
    }
    if (disassembler_.width() == 16) {
        return inside(data_begin, data_end);
    }
    if (choice < 97 || disassembler_.width() == 32) {
        return far_away + random_.below(page);
    }
    const std::uint64_t upper = bit(47);
    return choice < 98 ? ~std::uint64_t{0} << 47 | random_.below(upper)
                       : across(upper) + random_.below(2) * upper;
}

bool Steering::solve(Planned& planned, std::size_t operand_number, std::uint64_t target) {
    const ZydisDecodedOperand& operand = planned.decoded.operands[operand_number];
    const auto& mem = operand.mem;
    const auto fixed = [&](ZydisRegister reg) {
        const int number = general_register(reg);
        return number < 0 || fixed_.has(static_cast<unsigned>(number));
    };
    const bool vsib = mem.type == ZYDIS_MEMOP_TYPE_VSIB;
    const std::uint64_t scale = vsib ? 0 : mem.scale;
    const std::uint64_t wanted = target - effective_address(planned, operand); // what is missing
    // Rather the index than the stack pointer.
    const bool keep_base = general_register(mem.base) == cpu::x86::rsp && scale != 0 && !fixed(mem.index);
    if (has_base(operand) && !keep_base && !fixed(mem.base)) {
        if (general_register(mem.base) == general_register(mem.index) && scale != 0) {
            const std::uint64_t whole =
                target - segment_base(mem.segment) - static_cast<std::uint64_t>(mem.disp.value);
            return set(mem.base, whole / (scale + 1));
        }
        return set(mem.base, value_of(mem.base) + wanted);
    }
    if (scale != 0 && !fixed(mem.index)) {
        return set(mem.index, value_of(mem.index) + wanted / scale);
    }
    if (has_base(operand) || (scale != 0 && fixed(mem.index))) {
        return false;
    }
    const auto& raw = planned.decoded.info.raw.disp;
    if (raw.size != 0) {
        patch(planned, raw.offset, raw.size / 8U, static_cast<std::uint64_t>(mem.disp.value) + wanted);
    }
    return true;
}

bool Steering::fit_vector_index(const Planned& planned, const ZydisDecodedOperand& operand) {
    const auto number = static_cast<std::size_t>(ZydisRegisterGetId(operand.mem.index));
    auto& low = input_.fp.xmm[number];
    auto& high = input_.fp.ymm_high[number];
    const auto mnemonic = planned.decoded.info.mnemonic;
    const bool quadwords = mnemonic == ZYDIS_MNEMONIC_VPGATHERQD || mnemonic == ZYDIS_MNEMONIC_VPGATHERQQ ||
                           mnemonic == ZYDIS_MNEMONIC_VGATHERQPS || mnemonic == ZYDIS_MNEMONIC_VGATHERQPD;
    const auto small = [&] { return random_.between(-64, 64); };
    for (auto* half : {&low, &high}) {
        for (auto& lane : *half) {
            lane = quadwords ? static_cast<std::uint64_t>(small())
                             : (static_cast<std::uint64_t>(small()) & 0xFFFF'FFFF) |
                                   static_cast<std::uint64_t>(small()) << 32;
        }
    }
    return true;
}

bool Steering::fit_memory_operand(Planned& planned, std::size_t number) {
    const ZydisDecodedOperand& operand = planned.decoded.operands[number];
    if (operand.mem.type == ZYDIS_MEMOP_TYPE_AGEN || operand.mem.type == ZYDIS_MEMOP_TYPE_MIB) {
        return true; // LEA, NOP: no access
    }
    if (operand.mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        fit_vector_index(planned, operand);
    }
    if (planned.decoded.info.address_width == 16) { // nothing above, so that a 32-bit address is the same
        for (const ZydisRegister reg : {operand.mem.base, operand.mem.index}) {
            if (const int whole = general_register(reg);
                whole >= 0 && !fixed_.has(static_cast<unsigned>(whole))) {
                input_.registers.gpr[static_cast<std::size_t>(whole)] &= 0xFFFF;
            }
        }
    }
    std::uint64_t target = choose_target(operand.size / 8, is_stack(operand));
    if (planned.decoded.info.meta.category == ZYDIS_CATEGORY_SHA) {
        target = align_down(target, 16);
    }
    return solve(planned, number, target);
}

bool Steering::fit_memory_operands(Planned& planned) {
    for (std::size_t i = 0; i < planned.decoded.info.operand_count; ++i) {
        if (planned.decoded.operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            !fit_memory_operand(planned, i)) {
            return false;
        }
    }
    return true;
}

void Steering::fix_operands(const Planned& planned) {
    const auto fix = [&](ZydisRegister reg) {
        if (const int number = general_register(reg); number >= 0) {
            fixed_.add(static_cast<unsigned>(number));
        }
    };
    for (const auto& operand : planned.decoded.all()) {
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
            fix(operand.reg.value);
        } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            fix(operand.mem.base);
            fix(operand.mem.index);
        }
    }
}

} // namespace strata::oracle
