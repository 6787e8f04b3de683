// Copies an instruction: the same operation on the host's registers, its memory operand at the host's
// address.
#include "cpu/translator/block_compiler.hpp"
#include "cpu/x86/isa_features.hpp"

#include <algorithm>
#include <optional>

namespace strata::cpu::translator {

using Xbyak::Reg64;

namespace {

bool is_vector(ZydisRegisterClass kind) { return kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM; }

// The part of host register `number` that is as wide as `like`.
ZydisRegister part_of(unsigned number, ZydisRegister like) {
    const auto id = static_cast<ZyanU8>(number);
    switch (ZydisRegisterGetClass(like)) {
    case ZYDIS_REGCLASS_GPR8:
        // Zydis counts AH to BH between BL and SPL.
        return static_cast<ZydisRegister>(number < 4 ? ZYDIS_REGISTER_AL + number
                                                     : ZYDIS_REGISTER_SPL + (number - 4));
    case ZYDIS_REGCLASS_GPR16: return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR16, id);
    case ZYDIS_REGCLASS_GPR32: return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR32, id);
    default: return ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, id);
    }
}

// Categories whose instructions compute on registers and memory and do nothing else.
bool computes(const ZydisDecodedInstruction& info) {
    switch (info.mnemonic) {
    case ZYDIS_MNEMONIC_CLC:
    case ZYDIS_MNEMONIC_CMC:
    case ZYDIS_MNEMONIC_STC:
    case ZYDIS_MNEMONIC_LAHF:
    case ZYDIS_MNEMONIC_SAHF:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_SFENCE: return true;
    default: break;
    }
    switch (info.meta.category) {
    case ZYDIS_CATEGORY_ADOX_ADCX:
    case ZYDIS_CATEGORY_AES:
    case ZYDIS_CATEGORY_AVX:
    case ZYDIS_CATEGORY_AVX2:
    case ZYDIS_CATEGORY_BINARY:
    case ZYDIS_CATEGORY_BITBYTE:
    case ZYDIS_CATEGORY_BMI1:
    case ZYDIS_CATEGORY_BMI2:
    case ZYDIS_CATEGORY_BROADCAST:
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_CONVERT:
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_LOGICAL:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_LZCNT:
    case ZYDIS_CATEGORY_MMX:
    case ZYDIS_CATEGORY_PCLMULQDQ:
    case ZYDIS_CATEGORY_ROTATE:
    case ZYDIS_CATEGORY_SEMAPHORE:
    case ZYDIS_CATEGORY_SETCC:
    case ZYDIS_CATEGORY_SHA:
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_SSE:
    case ZYDIS_CATEGORY_VFMA: return true;
    default: return false;
    }
}

// Of those, what does more, or depends on what translated code does not have.
bool special(const ZydisDecodedInstruction& info) {
    switch (info.mnemonic) {
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
    case ZYDIS_MNEMONIC_VSTMXCSR:
    case ZYDIS_MNEMONIC_CMPXCHG8B:
    case ZYDIS_MNEMONIC_CMPXCHG16B:
    case ZYDIS_MNEMONIC_XLAT: return true;
    case ZYDIS_MNEMONIC_BSWAP: return info.operand_width == 16; // undefined: the decoder's business
    default: return false;
    }
}

// Whether it needs the vector registers, or MXCSR as the guest has it (CVTTSD2SI from memory).
bool uses_vector_unit(const Decoded& decoded) {
    const bool converts = decoded.info.meta.category == ZYDIS_CATEGORY_CONVERT &&
                          decoded.info.meta.isa_ext != ZYDIS_ISA_EXT_BASE &&
                          decoded.info.meta.isa_ext != ZYDIS_ISA_EXT_LONGMODE;
    return converts || decoded.info.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER ||
           decoded.info.mnemonic == ZYDIS_MNEMONIC_VZEROALL ||
           std::ranges::any_of(decoded.all(), [](const ZydisDecodedOperand& operand) {
               return operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                      (is_vector(ZydisRegisterGetClass(operand.reg.value)) ||
                       operand.reg.value == ZYDIS_REGISTER_MXCSR);
           });
}

// XCHG EAX, EAX clears the upper half; its shortest encoding would be NOP.
bool exchanges_itself(const Decoded& decoded) {
    return decoded.info.mnemonic == ZYDIS_MNEMONIC_XCHG &&
           decoded.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           decoded.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           decoded.operands[0].reg.value == decoded.operands[1].reg.value;
}

bool is_shift_count(const ZydisDecodedInstruction& info, const ZydisDecodedOperand& operand) {
    return operand.reg.value == ZYDIS_REGISTER_CL &&
           operand.visibility == ZYDIS_OPERAND_VISIBILITY_IMPLICIT &&
           (info.meta.category == ZYDIS_CATEGORY_SHIFT || info.meta.category == ZYDIS_CATEGORY_ROTATE);
}

// A register that the opcode implies: fine if the host's is the guest's.
bool implied_register_fits(const ZydisDecodedInstruction& info, const ZydisDecodedOperand& operand) {
    if (!is_general(operand.reg.value)) {
        const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
        return is_vector(kind) || kind == ZYDIS_REGCLASS_FLAGS || operand.reg.value == ZYDIS_REGISTER_MXCSR;
    }
    const unsigned number = number_of(operand.reg.value);
    return is_shift_count(info, operand) || usual_registers.host(number) == number;
}

bool register_fits(const ZydisDecodedInstruction& info, const ZydisDecodedOperand& operand) {
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_NONE) {
        return implied_register_fits(info, operand);
    }
    const ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
    return is_general(operand.reg.value) || is_vector(kind) || kind == ZYDIS_REGCLASS_MMX;
}

bool names_high_byte(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_high_byte(operand.reg.value);
}

// Guest CH, which is a part of no host register that could be named so.
bool names_ch(const ZydisDecodedOperand& operand) {
    return names_high_byte(operand) && number_of(operand.reg.value) == x86::rcx;
}

// AH to BH can't be named together with R8 and its like, of which guest rCX is one. Guest CH passes through
// the host's, which has to be free.
bool high_bytes_fit(const Decoded& decoded) {
    const auto visible = decoded.visible();
    if (std::ranges::none_of(visible, names_high_byte)) {
        return true;
    }
    return std::ranges::all_of(visible, [&](const ZydisDecodedOperand& operand) {
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            return std::ranges::none_of(visible, names_ch);
        }
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) {
            return true;
        }
        const unsigned number = number_of(operand.reg.value);
        return number < 4 && (number != x86::rcx || std::ranges::any_of(visible, names_ch));
    });
}

bool divides(const Decoded& decoded) {
    return decoded.info.mnemonic == ZYDIS_MNEMONIC_DIV || decoded.info.mnemonic == ZYDIS_MNEMONIC_IDIV;
}

// Whether what a general register held before matters: it is read, or not all of it is written.
bool matters(const Decoded& decoded, unsigned number) {
    return std::ranges::any_of(decoded.visible(), [&](const ZydisDecodedOperand& operand) {
        const bool replaced = decoded.info.meta.category == ZYDIS_CATEGORY_DATAXFER && operand.size >= 32 &&
                              operand.actions == ZYDIS_OPERAND_ACTION_WRITE;
        return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operand.reg.value) &&
               number_of(operand.reg.value) == number && !replaced;
    });
}

// Whether an operand that lives in memory can be named there, where the instruction has a form for it: not if
// its upper half is to be cleared, if a part is written (the processor would wait for that to reach memory
// before it reads the whole), if memory means something else (a bit string, a lock), or if the register is
// named twice.
bool nameable_in_memory(const Decoded& decoded, const ZydisDecodedOperand& operand) {
    const ZydisDecodedInstruction& info = decoded.info;
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || operand.encoding == ZYDIS_OPERAND_ENCODING_NONE ||
        !is_general(operand.reg.value) || is_high_byte(operand.reg.value) ||
        (is_written(operand) && operand.size != 64) || tests_bits(info.mnemonic) ||
        info.meta.category == ZYDIS_CATEGORY_SEMAPHORE || info.mnemonic == ZYDIS_MNEMONIC_XCHG) {
        return false;
    }
    return std::ranges::count_if(decoded.visible(), [&](const ZydisDecodedOperand& other) {
               return other.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(other.reg.value) &&
                      number_of(other.reg.value) == number_of(operand.reg.value);
           }) == 1;
}

// Of the processor's state, `distance` away.
ZydisEncoderOperand in_state(int distance, unsigned bits) {
    ZydisEncoderOperand operand{};
    operand.type = ZYDIS_OPERAND_TYPE_MEMORY;
    operand.mem.base = ZYDIS_REGISTER_RSP;
    operand.mem.displacement = distance;
    operand.mem.size = static_cast<ZyanU16>(bits / 8);
    return operand;
}

// Gives operands that live in memory a scratch register each.
class SpilledOperands {
public:
    SpilledOperands(Assembler& assembler, std::span<const Reg64> scratch) : a(assembler), free_(scratch) {}

    // The host register for guest register `number`; loaded if it is read. Empty if there are too few.
    std::optional<unsigned> take(unsigned number, bool written, bool read) {
        if (const auto host = a.host_register(number)) {
            return host;
        }
        for (unsigned i = 0; i < count_; ++i) {
            if (taken_[i].guest == number) {
                taken_[i].written |= written;
                return static_cast<unsigned>(free_[i].getIdx());
            }
        }
        if (count_ == free_.size()) {
            return std::nullopt;
        }
        const Reg64& to = free_[count_];
        taken_[count_++] = {number, written};
        if (read) {
            a.mov(to, a.state(a.layout().reg(number)));
        }
        return static_cast<unsigned>(to.getIdx());
    }

    void store() {
        for (unsigned i = 0; i < count_; ++i) {
            if (taken_[i].written) {
                a.mov(a.state(a.layout().reg(taken_[i].guest)), free_[i]);
            }
        }
    }

private:
    struct Taken {
        unsigned guest = 0;
        bool written = false;
    };

    Assembler& a;
    std::span<const Reg64> free_;
    std::array<Taken, 4> taken_{};
    unsigned count_ = 0;
};

} // namespace

bool BlockCompiler::copyable(const Decoded& decoded) const {
    const ZydisDecodedInstruction& info = decoded.info;
    if (!computes(info) || special(info) || exchanges_itself(decoded) || !x86::has_instruction(host_, info) ||
        !high_bytes_fit(decoded) || is_bit_string(decoded)) {
        return false;
    }
    return std::ranges::all_of(decoded.all(), [&](const ZydisDecodedOperand& operand) {
        switch (operand.type) {
        case ZYDIS_OPERAND_TYPE_REGISTER: return register_fits(info, operand);
        case ZYDIS_OPERAND_TYPE_MEMORY: return addressable(decoded, operand);
        case ZYDIS_OPERAND_TYPE_IMMEDIATE: return true;
        default: return false;
        }
    });
}

bool BlockCompiler::wants_vectors(const Decoded& decoded) const {
    return copyable(decoded) && uses_vector_unit(decoded);
}

bool BlockCompiler::copy(const Decoded& decoded) {
    if (copies_stack_pointer(decoded)) { // all guest registers of 32-bit code are in registers
        a.mov(a.guest(number_of(decoded.operands[0].reg.value), a.r15), a.r12);
        return true;
    }
    ZydisEncoderRequest request;
    if (!copyable(decoded) ||
        ZYAN_FAILED(ZydisEncoderDecodedInstructionToEncoderRequest(
            &decoded.info, decoded.operands.data(), decoded.info.operand_count_visible, &request))) {
        return false;
    }
    request.machine_mode = ZYDIS_MACHINE_MODE_LONG_64;
    request.prefixes &= ZYDIS_ATTRIB_HAS_LOCK;
    const auto visible = decoded.visible();
    if (decoded.uses_mmx()) {
        need_x87();
    }
    if (uses_vector_unit(decoded)) {
        need_vectors();
    }
    const bool counts = std::ranges::any_of(visible, [&](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_shift_count(decoded.info, operand);
    });
    const bool high_byte = std::ranges::any_of(visible, names_high_byte);
    const bool ch = std::ranges::any_of(visible, names_ch);
    const ZydisDecodedOperand* memory = memory_operand(decoded);
    Xbyak::RegExp host;
    if (memory != nullptr) {
        const EffectiveAddress address = address_of(decoded, *memory, next_rip());
        host = look_up(address, memory->size / 8U, is_written(*memory) ? Access::write : Access::read);
        // One register that holds all, where others are needed or can't be named.
        if (high_byte) {
            a.lea(a.rcx, a.ptr[host]);
            host = Xbyak::RegExp(a.rcx);
        } else if (counts) {
            a.lea(a.r15, a.ptr[host]);
            host = Xbyak::RegExp(a.r15);
        }
    }
    // R14 last: what it holds may be wanted again.
    static const std::array plain{Xbyak::util::r15, Xbyak::util::rcx, Xbyak::util::r14};
    static const std::array beside_memory{Xbyak::util::r15};
    static const std::array beside_rcx{Xbyak::util::r15, Xbyak::util::r14};
    static const std::array beside_both{Xbyak::util::r14};
    std::span<const Reg64> scratch = memory == nullptr ? std::span<const Reg64>(plain) : beside_memory;
    if (counts) {
        scratch = memory == nullptr ? std::span<const Reg64>(beside_rcx) : beside_both;
    } else if (high_byte && memory != nullptr) {
        scratch = beside_both;
    } else if (memory != nullptr) {
        // Two registers in memory: the address in rCX alone frees R14.
        const auto spilled = std::ranges::count_if(visible, [this](const ZydisDecodedOperand& operand) {
            return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operand.reg.value) &&
                   !is_high_byte(operand.reg.value) && !a.host_register(number_of(operand.reg.value));
        });
        if (spilled > 1) {
            a.lea(a.rcx, a.ptr[host]);
            host = Xbyak::RegExp(a.rcx);
            scratch = beside_rcx;
        }
    }
    const auto in_place = memory == nullptr ? operand_in_place(decoded, request) : std::nullopt;
    SpilledOperands operands(a, scratch);
    for (std::size_t i = 0; i < visible.size(); ++i) {
        const ZydisDecodedOperand& operand = visible[i];
        ZydisEncoderOperand& encoded = request.operands[i];
        if (i == in_place) {
            encoded = in_state(layout.reg(number_of(operand.reg.value)), operand.size);
        } else if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
            const auto& base = host.getBase();
            const auto& index = host.getIndex();
            encoded.mem.base = ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, static_cast<ZyanU8>(base.getIdx()));
            encoded.mem.index =
                index.getBit() == 0
                    ? ZYDIS_REGISTER_NONE
                    : ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, static_cast<ZyanU8>(index.getIdx()));
            encoded.mem.scale = index.getBit() == 0 ? 0 : 1;
            encoded.mem.displacement = static_cast<ZyanI64>(host.getDisp());
        } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
                   operand.encoding != ZYDIS_OPERAND_ENCODING_NONE && is_general(operand.reg.value) &&
                   !is_high_byte(operand.reg.value)) {
            const unsigned guest = number_of(operand.reg.value);
            if (ch && guest == x86::rcx) {
                encoded.reg.value = part_of(guest, operand.reg.value);
                continue;
            }
            const auto number = operands.take(guest, is_written(operand), matters(decoded, guest));
            if (!number) {
                std::abort(); // copyable() lets through three registers at most
            }
            if (*number == static_cast<unsigned>(Xbyak::Operand::R14)) {
                in_r14_ = 0;
            }
            encoded.reg.value = part_of(*number, operand.reg.value);
        }
    }
    if (counts) {
        a.mov(a.ecx, a.guest(x86::rcx, a.rcx).cvt32());
    }
    if (ch) {
        a.mov(a.rcx, a.guest(x86::rcx, a.rcx));
    }
    std::array<ZyanU8, ZYDIS_MAX_INSTRUCTION_LENGTH> bytes;
    ZyanUSize length = bytes.size();
    if (ZYAN_FAILED(ZydisEncoderEncodeInstruction(&request, bytes.data(), &length))) {
        return false;
    }
    if (memory != nullptr || divides(decoded)) {
        expect_trap();
    }
    a.db(bytes.data(), length);
    operands.store();
    const auto writes_rcx = [](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operand.reg.value) &&
               number_of(operand.reg.value) == x86::rcx && is_written(operand);
    };
    if (ch && std::ranges::any_of(visible, writes_rcx)) {
        if (const auto count = a.host_register(x86::rcx)) {
            a.mov(Reg64(static_cast<int>(*count)), a.rcx);
        } else {
            a.mov(a.state(layout.reg(x86::rcx)), a.rcx);
        }
    }
    return true;
}

// The visible operand, if any, that lives in memory and is best left there.
std::optional<std::size_t> BlockCompiler::operand_in_place(const Decoded& decoded,
                                                           const ZydisEncoderRequest& request) const {
    const auto visible = decoded.visible();
    for (std::size_t i = 0; i < visible.size(); ++i) {
        if (!nameable_in_memory(decoded, visible[i]) || a.host_register(number_of(visible[i].reg.value))) {
            continue;
        }
        ZydisEncoderRequest attempt = request;
        attempt.operands[i] = in_state(layout.reg(number_of(visible[i].reg.value)), visible[i].size);
        std::array<ZyanU8, ZYDIS_MAX_INSTRUCTION_LENGTH> bytes;
        ZyanUSize length = bytes.size();
        if (ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&attempt, bytes.data(), &length))) {
            return i;
        }
    }
    return std::nullopt;
}

// An address is all that it wants.
void BlockCompiler::lea(const Decoded& decoded) {
    const ZydisDecodedOperand& to = decoded.operands[0];
    EffectiveAddress address = address_of(decoded, decoded.operands[1], next_rip());
    address.segment = EffectiveAddress::none;
    const unsigned guest = number_of(to.reg.value);
    const auto host = a.host_register(guest);
    // What lives in memory passes through the register that the address is made in.
    const auto in_memory = [this](int number) {
        return number >= 0 && !a.host_register(static_cast<unsigned>(number));
    };
    const bool direct =
        host && to.size == decoded.word() * 8U && !in_memory(address.base) && !in_memory(address.index);
    const Reg64 target = direct ? Reg64(static_cast<int>(*host)) : a.rcx;
    put_address(target, address);
    if (direct) {
        return;
    }
    if (to.size == 64) {
        if (!host) {
            a.mov(a.state(layout.reg(guest)), target);
        } else {
            a.mov(Reg64(static_cast<int>(*host)), target);
        }
        return;
    }
    const Reg64 whole = a.guest(guest, a.r15);
    if (to.size == 32) {
        a.mov(whole.cvt32(), target.cvt32());
    } else {
        a.mov(whole.cvt16(), target.cvt16());
    }
    if (!host) {
        a.mov(a.state(layout.reg(guest)), whole);
    }
}

} // namespace strata::cpu::translator
