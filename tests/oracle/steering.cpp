#include "steering.hpp"

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "cpu/x86/registers.hpp"
#include "initial_state.hpp"
#include "isa.hpp"
#include "tolerance.hpp"
#include "values.hpp"

#include <algorithm>
#include <cstring>

namespace strata::oracle {

namespace {

constexpr auto xsave_mask_everyone_has = std::uint64_t{7};
constexpr std::uint64_t xsave_image_bytes = 512 + 64 + 256; // legacy region, header, AVX state

bool is_shift(ZydisMnemonic mnemonic) {
    constexpr std::array shifts{ZYDIS_MNEMONIC_SHL, ZYDIS_MNEMONIC_SHR,  ZYDIS_MNEMONIC_SAR,
                                ZYDIS_MNEMONIC_ROL, ZYDIS_MNEMONIC_ROR,  ZYDIS_MNEMONIC_RCL,
                                ZYDIS_MNEMONIC_RCR, ZYDIS_MNEMONIC_SHLD, ZYDIS_MNEMONIC_SHRD};
    return std::ranges::find(shifts, mnemonic) != shifts.end();
}

bool is_bit_test(ZydisMnemonic mnemonic) {
    return mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS ||
           mnemonic == ZYDIS_MNEMONIC_BTR || mnemonic == ZYDIS_MNEMONIC_BTC;
}

Lane lane_of(const ZydisDecodedOperand& operand) {
    switch (operand.element_type) {
    case ZYDIS_ELEMENT_TYPE_FLOAT16: return Lane::float16;
    case ZYDIS_ELEMENT_TYPE_FLOAT32: return Lane::float32;
    case ZYDIS_ELEMENT_TYPE_FLOAT64: return Lane::float64;
    case ZYDIS_ELEMENT_TYPE_FLOAT80: return Lane::float80;
    default: return Lane::integer;
    }
}

template <class T>
void put(std::span<std::uint8_t> to, std::size_t offset, T value) {
    if (offset + sizeof value <= to.size()) {
        store_le(to.data() + offset, value);
    }
}

// Of SHA's operands in memory Intel demands alignment, AMD does not.
bool checked_by_intel_alone(const Planned& planned) {
    return planned.decoded.info.meta.category == ZYDIS_CATEGORY_SHA;
}

} // namespace

bool Steering::fit(Planned& planned) {
    if (!fit_memory_operands(planned)) {
        return false;
    }
    if (!fit_counts(planned)) {
        return false;
    }
    fit_contents(planned);
    if (restores_from_two_pages(planned) || saves_little_to_two_pages(planned)) {
        return false;
    }
    if (moves_lanes_by_narrow_address(planned.decoded.info) && reaches_beyond_4_gib(planned)) {
        return false;
    }
    if (checked_by_intel_alone(planned) && !surely_aligned(planned)) {
        return false;
    }
    if (!fit_branch(planned) || !fit_selector(planned)) {
        return false;
    }
    fix_operands(planned);
    return true;
}

// Then processors may touch parts of it that are in their initial state, and fault there, or not.
bool Steering::restores_from_two_pages(const Planned& planned) {
    const auto mnemonic = planned.decoded.info.mnemonic;
    return (mnemonic == ZYDIS_MNEMONIC_XRSTOR || mnemonic == ZYDIS_MNEMONIC_XRSTOR64) &&
           planned.operand_address % page + xsave_image_bytes > page;
}

// Likewise parts that are not saved: AMD's processors fault where the legacy region is, if nothing but the
// header behind it is written.
bool Steering::saves_little_to_two_pages(const Planned& planned) const {
    constexpr std::uint64_t in_legacy_region = 3; // x87 and SSE
    if (planned.operand_address % page + xsave_image_bytes <= page) {
        return false;
    }
    switch (planned.decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64: return (input_.registers.gpr[cpu::x86::rax] & in_legacy_region) == 0;
    case ZYDIS_MNEMONIC_XSAVEC: // they leave out what is in its initial state
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64: return true;
    default: return false;
    }
}

bool Steering::reaches_beyond_4_gib(const Planned& planned) const {
    return std::ranges::any_of(planned.decoded.all(), [&](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
               effective_address(planned, operand) - segment_base(operand.mem.segment) + operand.size / 8 >
                   std::uint64_t{1} << 32;
    });
}

bool Steering::surely_aligned(const Planned& planned) const {
    const auto is_fixed = [this](ZydisRegister reg) {
        const int number = general_register(reg);
        return number >= 0 && fixed_.has(static_cast<unsigned>(number));
    };
    return planned.operand_address % 16 == 0 &&
           std::ranges::none_of(planned.decoded.all(), [&](const ZydisDecodedOperand& operand) {
               return operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
                      (is_fixed(operand.mem.base) || is_fixed(operand.mem.index));
           });
}

bool Steering::fit_counts(const Planned& planned) {
    const auto& info = planned.decoded.info;
    const auto& operands = planned.decoded.operands;
    if (repeats(planned.decoded)) {
        const std::uint64_t count = random_.chance(10)   ? 0
                                    : random_.chance(70) ? random_.below(24)
                                    : random_.chance(80) ? random_.below(600)
                                                         : random_.below(4 * page);
        set(info.address_width == 64   ? ZYDIS_REGISTER_RCX
            : info.address_width == 32 ? ZYDIS_REGISTER_ECX
                                       : ZYDIS_REGISTER_CX,
            count);
    }
    if (is_shift(info.mnemonic) && random_.chance(70)) {
        set(ZYDIS_REGISTER_CL, random_.below(70));
    }
    if (is_bit_test(info.mnemonic) && operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
        operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
        const auto reg = general_register(operands[1].reg.value);
        if (reg != general_register(operands[0].mem.base) && reg != general_register(operands[0].mem.index)) {
            set(operands[1].reg.value, static_cast<std::uint64_t>(random_.between(-0x8000, 0x8000)));
        }
    }
    if ((info.mnemonic == ZYDIS_MNEMONIC_DIV || info.mnemonic == ZYDIS_MNEMONIC_IDIV) && random_.chance(75)) {
        const std::uint64_t low = value_of(ZYDIS_REGISTER_RAX);
        const bool sign = info.mnemonic == ZYDIS_MNEMONIC_IDIV &&
                          test_bit(low, std::max(info.operand_width, ZyanU8{8}) - 1U);
        const std::uint64_t high = random_.chance(50) ? (sign ? ~std::uint64_t{0} : 0) : random_.below(64);
        set(info.operand_width == 8 ? ZYDIS_REGISTER_AH : ZYDIS_REGISTER_RDX, high);
    }
    switch (info.mnemonic) {
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
        // The host may have enabled more state components than the guest knows.
        if (fixed_.has(cpu::x86::rax) || fixed_.has(cpu::x86::rdx)) {
            return false;
        }
        input_.registers.gpr[cpu::x86::rax] &= xsave_mask_everyone_has;
        if (input_.registers.gpr[cpu::x86::rax] ==
            0) { // where AMD checks an area of which nothing is written
            input_.registers.gpr[cpu::x86::rax] = 1;
        }
        input_.registers.gpr[cpu::x86::rdx] = 0;
        fixed_.add(cpu::x86::rax);
        fixed_.add(cpu::x86::rdx);
        break;
    default: break;
    }
    return true;
}

std::uint64_t Steering::branch_target() {
    const auto choice = random_.below(100);
    if (choice < 70) {
        for (;;) {
            const std::uint64_t address = code_begin + random_.below(code_end - code_begin);
            const std::uint64_t margin = 32;
            if (address - (input_.code_address - margin) >= max_code + 2 * margin) {
                return address;
            }
        }
    }
    if (choice < 80) {
        return data_begin + random_.below(data_end - data_begin);
    }
    if (choice < 90 || disassembler_.width() != 64) {
        return constant_end + random_.below(page);
    }
    return choice < 95 ? bit(46) + random_.below(page) : bit(47) + random_.below(bit(62));
}

// Of descriptors that Linux and the guest both have, or neither: null, flat ones with right and wrong
// privilege, the kernel's, and one beyond the table.
std::uint16_t Steering::choose_selector() {
    constexpr std::array<std::uint16_t, 16> selectors{
        flat_data, flat_data, flat_data, flat_data, flat_code64, flat_code64, flat_code64, 0,
        1,         3,         0x10,      0x13,      0x18,        0x28,        0x30,        0xFFF8};
    return random_.pick(selectors);
}

bool Steering::put_selector(std::uint64_t address) {
    const auto memory = memory_at(address, 2);
    put(memory, 0, choose_selector());
    return memory.size() == 2;
}

// Instructions that load a segment register or ask for a descriptor.
bool Steering::fit_selector(const Planned& planned) {
    const auto& operands = planned.decoded.operands;
    std::uint64_t offset = 0;
    std::size_t source = 1;
    switch (planned.decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_POP:
        if (operands[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
            ZydisRegisterGetClass(operands[0].reg.value) != ZYDIS_REGCLASS_SEGMENT) {
            return true;
        }
        if (planned.decoded.info.mnemonic == ZYDIS_MNEMONIC_POP) {
            return put_selector(stack_linear(input_.registers.gpr[cpu::x86::rsp]));
        }
        break;
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_LSS: offset = planned.decoded.info.operand_width / 8U; break;
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL: break;
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW: source = 0; break;
    default: return true;
    }
    if (operands[source].type == ZYDIS_OPERAND_TYPE_REGISTER) {
        return set(operands[source].reg.value, choose_selector());
    }
    return put_selector(planned.operand_address + offset);
}

// In terms of CS and SS.
std::uint64_t Steering::branch_offset() { return branch_target() - segment_base(ZYDIS_REGISTER_CS); }

std::uint64_t Steering::stack_linear(std::uint64_t offset) const {
    return offset + segment_base(ZYDIS_REGISTER_SS);
}

void Steering::fit_far_target(std::uint64_t address, const Planned& planned) {
    const std::size_t size = planned.decoded.info.operand_width / 8U;
    const auto memory = memory_at(address, 5 * size);
    const auto put_slot = [&](std::size_t offset, std::uint64_t value) {
        if (offset + size <= memory.size()) {
            std::memcpy(memory.data() + offset, &value, size);
        }
    };
    put_slot(0, branch_offset());
    if (planned.decoded.info.mnemonic == ZYDIS_MNEMONIC_JMP ||
        planned.decoded.info.mnemonic == ZYDIS_MNEMONIC_CALL) {
        put(memory, size, choose_selector());
        return;
    }
    put_slot(size, choose_selector());
    put_slot(2 * size, (input_.registers.rflags ^ integer_value(random_)) & 0x0000'CFD5);
    put_slot(3 * size, stack_begin + random_.below(page));
    put_slot(4 * size, random_.chance(80) ? flat_data : choose_selector());
}

bool Steering::fit_branch(Planned& planned) {
    const auto& info = planned.decoded.info;
    const auto category = info.meta.category;
    if (info.mnemonic == ZYDIS_MNEMONIC_INT) {
        // Linux's system call, and vectors that a hypervisor may have taken for itself.
        constexpr std::uint64_t system_call = 0x80, first_spare = 22, first_external = 32;
        const std::uint64_t vector = info.raw.imm[0].value.u;
        return vector != system_call && (vector < first_spare || vector >= first_external);
    }
    if (category != ZYDIS_CATEGORY_COND_BR && category != ZYDIS_CATEGORY_UNCOND_BR &&
        category != ZYDIS_CATEGORY_CALL && category != ZYDIS_CATEGORY_RET) {
        return true;
    }
    const ZydisDecodedOperand& operand = planned.decoded.operands[0];
    if (info.raw.imm[0].is_relative) {
        const std::uint64_t next = planned.address + info.length;
        std::uint64_t offset = branch_target() - next;
        if (info.raw.imm[0].size == 8) {
            offset = static_cast<std::uint64_t>(random_.chance(50)
                                                    ? random_.between(max_code, 127)
                                                    : random_.between(-128, -std::int64_t{max_code}));
        }
        patch(planned, info.raw.imm[0].offset, info.raw.imm[0].size / 8U, offset);
        return true;
    }
    const bool far = info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || info.mnemonic == ZYDIS_MNEMONIC_IRET ||
                     info.mnemonic == ZYDIS_MNEMONIC_IRETD || info.mnemonic == ZYDIS_MNEMONIC_IRETQ;
    if (category == ZYDIS_CATEGORY_RET) {
        const std::uint64_t top = input_.registers.gpr[cpu::x86::rsp];
        if (far) {
            fit_far_target(stack_linear(top), planned);
        } else {
            put(memory_at(stack_linear(top), 8), 0, branch_offset());
        }
    } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
        return set(operand.reg.value, branch_offset());
    } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        const std::uint64_t address = effective_address(planned, operand);
        if (far) {
            fit_far_target(address, planned);
        } else {
            put(memory_at(address, 8), 0, branch_offset());
        }
    }
    return true;
}

void Steering::fit_register_contents(const ZydisDecodedOperand& operand) {
    const auto kind = ZydisRegisterGetClass(operand.reg.value);
    if ((kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM) && random_.chance(70)) {
        const auto number = static_cast<std::size_t>(ZydisRegisterGetId(operand.reg.value));
        const auto as_bytes = [](auto& half) {
            return std::span(reinterpret_cast<std::uint8_t*>(half.data()), sizeof half);
        };
        fill_lanes(random_, lane_of(operand), as_bytes(input_.fp.xmm[number]));
        fill_lanes(random_, lane_of(operand), as_bytes(input_.fp.ymm_high[number]));
    }
}

void Steering::fit_contents(Planned& planned) {
    bool gather = false;
    for (const auto& operand : planned.decoded.all()) {
        gather |= operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type == ZYDIS_MEMOP_TYPE_VSIB;
    }
    for (const auto& operand : planned.decoded.all()) {
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && !gather) {
            fit_register_contents(operand);
        } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            const std::uint64_t address = effective_address(planned, operand);
            planned.operand_address = address;
            if (random_.chance(60)) {
                fill_lanes(random_, lane_of(operand), memory_at(address, std::min(operand.size / 8, 64)));
            }
            fit_image(planned, address);
            fit_exchange(planned, address);
        }
    }
}

// CMPXCHG and its kin: a comparison that succeeds half of the time.
void Steering::fit_exchange(const Planned& planned, std::uint64_t address) {
    const auto memory = memory_at(address, 16);
    const auto& gpr = input_.registers.gpr;
    if (random_.chance(50)) {
        return;
    }
    switch (planned.decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_CMPXCHG: put(memory, 0, gpr[cpu::x86::rax]); break;
    case ZYDIS_MNEMONIC_CMPXCHG8B:
        put(memory, 0, static_cast<std::uint32_t>(gpr[cpu::x86::rax]));
        put(memory, 4, static_cast<std::uint32_t>(gpr[cpu::x86::rdx]));
        break;
    case ZYDIS_MNEMONIC_CMPXCHG16B:
        put(memory, 0, gpr[cpu::x86::rax]);
        put(memory, 8, gpr[cpu::x86::rdx]);
        break;
    default: break;
    }
}

// Images that an instruction loads whole: mostly valid ones, as random bytes would only fault.
void Steering::fit_image(const Planned& planned, std::uint64_t address) {
    if (random_.chance(10)) {
        return;
    }
    XsaveArea image{};
    randomize_fp_control(random_, image);
    switch (planned.decoded.info.mnemonic) {
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR: put(memory_at(address, 4), 0, image.mxcsr); break;
    case ZYDIS_MNEMONIC_FLDCW: put(memory_at(address, 2), 0, image.fcw); break;
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64: {
        const auto memory = memory_at(address, 32);
        std::memcpy(memory.data(), &image, memory.size());
        break;
    }
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64: {
        image.xstate_bv = random_.next() & (random_.chance(95) ? 7 : 0xF);
        if (random_.chance(30)) {
            image.xcomp_bv = bit(63) | (random_.chance(90) ? image.xstate_bv | (random_.next() & 7) : 3);
        }
        const auto control = memory_at(address, 32);
        std::memcpy(control.data(), &image, control.size());
        constexpr std::size_t header = offsetof(XsaveArea, xstate_bv);
        const auto head = memory_at(address + header, 64);
        std::memcpy(head.data(), &image.xstate_bv, std::min(head.size(), sizeof image - header));
        break;
    }
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR: {
        const std::size_t slot = planned.decoded.info.operand_width == 16 ? 2 : 4;
        const auto memory = memory_at(address, 3 * slot);
        put(memory, 0, image.fcw);
        put(memory, slot, image.fsw);
        put(memory, 2 * slot, static_cast<std::uint16_t>(random_.next()));
        break;
    }
    default: break;
    }
}

} // namespace strata::oracle
