// Sources: the Flags Affected sections of SDM volume 2 and APM volume 3; where they differ, what either
// leaves undefined is.
#include "tolerance.hpp"

#include "cpu/x86/registers.hpp"
#include "cpu/x86/state.hpp"
#include "isa.hpp"
#include "steering.hpp"

#include <algorithm>
#include <optional>

namespace strata::oracle {

namespace {

namespace flag = cpu::x86::flag;

// Zydis numbers its flags as RFLAGS does.
static_assert(ZYDIS_CPUFLAG_CF == flag::cf && ZYDIS_CPUFLAG_OF == flag::of && ZYDIS_CPUFLAG_AF == flag::af);

bool is_simple_shift(ZydisMnemonic m) {
    return m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_SHR || m == ZYDIS_MNEMONIC_SAR;
}

bool is_double_shift(ZydisMnemonic m) { return m == ZYDIS_MNEMONIC_SHLD || m == ZYDIS_MNEMONIC_SHRD; }

bool is_rotate(ZydisMnemonic m) {
    return m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_ROR || m == ZYDIS_MNEMONIC_RCL ||
           m == ZYDIS_MNEMONIC_RCR;
}

// The masked count of a shift, if it is known: an immediate, or CL that nothing has changed.
std::optional<unsigned> shift_count(const Decoded& decoded, const TestCase& input, bool first) {
    const auto& operand = decoded.operands[is_double_shift(decoded.info.mnemonic) ? 2 : 1];
    const unsigned mask = decoded.info.operand_width == 64 ? 63 : 31;
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        return static_cast<unsigned>(operand.imm.value.u) & mask;
    }
    if (!first) {
        return std::nullopt;
    }
    return static_cast<unsigned>(input.registers.gpr[cpu::x86::rcx]) & mask;
}

std::uint64_t undefined_after_shift(const Decoded& decoded, const TestCase& input, bool first,
                                    std::uint64_t before) {
    const auto count = shift_count(decoded, input, first);
    if (!count) {
        return before | flag::arithmetic;
    }
    if (*count == 0) {
        return before;
    }
    const unsigned width = decoded.info.operand_width;
    const std::uint64_t overflow = *count > 1 ? flag::of : 0;
    if (is_rotate(decoded.info.mnemonic)) {
        return (before & ~(flag::cf | flag::of)) | overflow;
    }
    if (is_double_shift(decoded.info.mnemonic)) {
        return *count > width ? flag::arithmetic : flag::af | overflow;
    }
    const bool carry_lost = *count >= width && decoded.info.mnemonic != ZYDIS_MNEMONIC_SAR;
    return flag::af | overflow | (carry_lost ? flag::cf : 0);
}

bool is_gather(const Decoded& decoded) {
    return std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type == ZYDIS_MEMOP_TYPE_VSIB;
    });
}

// Instructions whose operand is an image of the floating-point state.
bool is_state_image(ZydisMnemonic m) {
    constexpr std::array images{
        ZYDIS_MNEMONIC_FLDENV,   ZYDIS_MNEMONIC_FNSTENV, ZYDIS_MNEMONIC_FRSTOR,   ZYDIS_MNEMONIC_FNSAVE,
        ZYDIS_MNEMONIC_FXSAVE,   ZYDIS_MNEMONIC_FXRSTOR, ZYDIS_MNEMONIC_FXSAVE64, ZYDIS_MNEMONIC_FXRSTOR64,
        ZYDIS_MNEMONIC_XSAVE,    ZYDIS_MNEMONIC_XSAVE64, ZYDIS_MNEMONIC_XSAVEC,   ZYDIS_MNEMONIC_XSAVEC64,
        ZYDIS_MNEMONIC_XSAVEOPT, ZYDIS_MNEMONIC_XRSTOR,  ZYDIS_MNEMONIC_XRSTOR64, ZYDIS_MNEMONIC_XSAVEOPT64,
    };
    return std::ranges::find(images, m) != images.end();
}

// What comes first of the faults that the bytes beyond the opcode may cause and the #UD that is sure.
bool is_undefined_with_operands(ZydisMnemonic m) {
    return m == ZYDIS_MNEMONIC_UD0 || m == ZYDIS_MNEMONIC_UD1;
}

// Which processors access in two parts.
bool has_80_bit_operand(const Decoded& decoded) {
    return std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.size == 80;
    });
}

// Whether bytes that the mask leaves out cause faults is for the processor to choose.
bool is_byte_masked_store(ZydisMnemonic m) {
    return m == ZYDIS_MNEMONIC_MASKMOVQ || m == ZYDIS_MNEMONIC_MASKMOVDQU || m == ZYDIS_MNEMONIC_VMASKMOVDQU;
}

// Which reads two places, either of which may fault first.
bool reads_two_places(const Decoded& decoded) {
    return std::ranges::count_if(decoded.all(), [](const ZydisDecodedOperand& operand) {
               return operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
                      (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
           }) == 2;
}

bool is_branch(const Decoded& decoded) { return decoded.info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE; }

// Pointers to the last x87 instruction, which AMD's processors store only with a pending exception, and
// MXCSR_MASK, which says what the processor has.
void ignore_image_fields(const Planned& planned, Tolerance& tolerance) {
    const auto mnemonic = planned.decoded.info.mnemonic;
    if (mnemonic == ZYDIS_MNEMONIC_FNSTENV || mnemonic == ZYDIS_MNEMONIC_FNSAVE) {
        const std::uint64_t slot = planned.decoded.info.operand_width == 16 ? 2 : 4;
        tolerance.memory.push_back({planned.operand_address + 3 * slot, 4 * slot});
    } else {
        constexpr std::uint64_t fop = 6, fop_to_fdp = 18, mxcsr_mask = 28;
        tolerance.memory.push_back({planned.operand_address + fop, fop_to_fdp});
        tolerance.memory.push_back({planned.operand_address + mxcsr_mask, 4});
    }
}

// Registers and memory that the last instruction left undefined.
void add_undefined_results(const Planned& planned, const TestCase& input, bool first, bool faulted,
                           Tolerance& tolerance) {
    const Decoded& decoded = planned.decoded;
    const auto ignore_register = [&](const ZydisDecodedOperand& operand) {
        const int number =
            operand.type == ZYDIS_OPERAND_TYPE_REGISTER ? general_register(operand.reg.value) : -1;
        if (number >= 0) {
            tolerance.gpr = static_cast<std::uint16_t>(tolerance.gpr | 1U << number);
        }
    };
    const auto ignore_vector = [&](const ZydisDecodedOperand& operand) {
        if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
            tolerance.vectors =
                static_cast<std::uint16_t>(tolerance.vectors | 1U << ZydisRegisterGetId(operand.reg.value));
        }
    };
    if (is_gather(decoded) && faulted) { // elements beyond the faulting one may have been gathered
        ignore_vector(decoded.operands[0]);
        ignore_vector(decoded.operands[2]);
    }
    const auto category = decoded.info.meta.category;
    if (faulted) {
        tolerance.parts_in_any_order =
            category == ZYDIS_CATEGORY_RET || is_state_image(decoded.info.mnemonic);
        tolerance.any_fault = tolerance.parts_in_any_order || category == ZYDIS_CATEGORY_CALL ||
                              has_80_bit_operand(decoded) || is_byte_masked_store(decoded.info.mnemonic) ||
                              is_undefined_with_operands(decoded.info.mnemonic) ||
                              reads_two_places(decoded) || moves_lanes_by_narrow_address(decoded.info);
        return;
    }
    if (is_state_image(decoded.info.mnemonic)) {
        ignore_image_fields(planned, tolerance);
    }
    if (decoded.info.mnemonic == ZYDIS_MNEMONIC_BSWAP && decoded.info.operand_width == 16) {
        ignore_register(decoded.operands[0]);
    }
    if (is_double_shift(decoded.info.mnemonic) &&
        shift_count(decoded, input, first).value_or(31) > decoded.info.operand_width) {
        ignore_register(decoded.operands[0]);
        // A memory operand lies where the general registers say; its page is known to no one else here.
        if (decoded.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
            tolerance.memory.push_back({arena, arena_size});
        }
    }
}

// A pending trap comes before the fault of a gather that has gathered some elements.
void add_interrupted_gather(const Planned& planned, const TestCase& input, Tolerance& tolerance) {
    add_undefined_results(planned, input, false, true, tolerance);
    tolerance.any_fault = true;
    tolerance.flags |= flag::rf;
}

} // namespace

std::uint64_t undefined_flags_after(const Planned& planned, const TestCase& input, bool first,
                                    std::uint64_t before) {
    const auto& info = planned.decoded.info;
    if (is_simple_shift(info.mnemonic) || is_double_shift(info.mnemonic) || is_rotate(info.mnemonic)) {
        return undefined_after_shift(planned.decoded, input, first, before);
    }
    if (info.attributes & (ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) {
        return before; // if the count is zero
    }
    const ZydisAccessedFlags* flags = info.cpu_flags;
    if (flags == nullptr) {
        return before;
    }
    return (before & ~std::uint64_t{flags->modified | flags->set_0 | flags->set_1}) | flags->undefined;
}

bool repeats(const Decoded& decoded) {
    return (decoded.info.attributes &
            (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) != 0;
}

bool changes_its_code(const TestCase& input, const Outcome& native) {
    for (std::uint64_t i = 0; i < input.code_size; ++i) {
        for (std::size_t n = 0; n < variable_pages.size(); ++n) {
            const std::uint64_t offset = input.code_address + i - (arena + variable_pages[n] * page);
            if (offset < page && native.memory[n][offset] != input.code[i]) {
                return true;
            }
        }
    }
    return false;
}

bool ends_case(const Decoded& decoded) {
    const auto mnemonic = decoded.info.mnemonic;
    const bool loads_segment = std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
               (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
               ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_SEGMENT;
    });
    // A null selector leaves the base as it was in some AMD processors.
    return mnemonic == ZYDIS_MNEMONIC_BSWAP || is_double_shift(mnemonic) || is_gather(decoded) ||
           loads_segment;
}

Tolerance tolerance_of(const GeneratedCase& generated, const Outcome& native) {
    Tolerance tolerance;
    std::uint64_t undefined_where_left = 0; // flags, where a branch may have ended the case
    for (std::size_t i = 0; i < generated.instructions.size(); ++i) {
        const Planned& planned = generated.instructions[i];
        const bool first = i == 0;
        constexpr std::uint64_t trap_vectors = 1 << 1 | 1 << 3 | 1 << 4;
        const std::uint64_t end = native.registers.rip - generated.input.registers.rip; // in the code
        const std::uint64_t begin = planned.address - generated.input.code_address;
        const bool trapped = ((trap_vectors >> native.vector) & 1) != 0;
        if (end == begin && trapped && is_gather(planned.decoded)) {
            add_interrupted_gather(planned, generated.input, tolerance);
            break;
        }
        if (end == begin && trapped && !first) {
            break; // by the one before it
        }
        // Between its rounds a trap finds RF as the vendor likes: set (SDM volume 3, 18.3.1.1), or as it was
        // before the instruction, which is not complete yet (APM volume 2, RF in 3.1.6), or cleared.
        if (end == begin && trapped && repeats(planned.decoded)) {
            tolerance.flags |= flag::rf;
            break; // what follows was not reached
        }
        const bool faulted = end == begin && !trapped;
        if (!faulted) {
            tolerance.flags = undefined_flags_after(planned, generated.input, first, tolerance.flags);
        }
        add_undefined_results(planned, generated.input, first, faulted, tolerance);
        if (faulted) {
            break;
        }
        if (is_branch(planned.decoded) && end - begin > max_code) {
            undefined_where_left |= tolerance.flags;
        }
    }
    tolerance.flags |= undefined_where_left;
    if (changes_its_code(generated.input, native)) { // what nobody planned may have run
        tolerance.flags |= flag::arithmetic;
    }
    // AMD's processors save and restore the pointers only while an exception is pending, and keep as many
    // bits of them as addresses have.
    constexpr std::uint16_t exception_summary = 0x80;
    tolerance.x87_pointers =
        (native.fp.fsw & exception_summary) == 0 ||
        std::ranges::any_of(generated.instructions, [](const Planned& planned) {
            const auto mnemonic = planned.decoded.info.mnemonic;
            return mnemonic == ZYDIS_MNEMONIC_FXRSTOR64 || mnemonic == ZYDIS_MNEMONIC_XRSTOR64;
        });
    return tolerance;
}

} // namespace strata::oracle
