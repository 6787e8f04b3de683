// What copy() can't: BT and its kin where a register says how far away in memory the bit is, and CMPXCHG8B
// and CMPXCHG16B, which imply guest rCX.
#include "cpu/translator/block_compiler.hpp"
#include "cpu/x86/isa_features.hpp"

#include <bit>

namespace strata::cpu::translator {

using Xbyak::Reg;
using Xbyak::Reg64;
using Xbyak::RegExp;

namespace {

// As many bits of it as the operand has.
Reg part_of(const Reg64& whole, unsigned bytes) {
    switch (bytes) {
    case 2: return whole.cvt16();
    case 4: return whole.cvt32();
    default: return whole;
    }
}

bool locked(const Decoded& decoded) { return (decoded.info.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0; }

} // namespace

// The address of the element that has the bit; elements count from the operand in both directions. Uses rCX,
// which `to` may be, and R15.
void BlockCompiler::put_element_address(const Reg64& to, const EffectiveAddress& address) {
    EffectiveAddress first = address;
    first.bits = EffectiveAddress::none;
    const Reg64 number = a.guest(static_cast<unsigned>(address.bits), a.r15);
    a.mov(a.ecx, std::countr_zero(address.element * 8));
    if (address.element == 2) {
        a.movsx(a.r15, number.cvt16());
    } else if (address.element == 4) {
        a.movsxd(a.r15, number.cvt32());
    }
    a.sarx(a.r15, address.element == 8 ? number : a.r15, a.rcx);
    const Reg wide = to, narrow = to.cvt32();
    const Reg& sum = address.narrow ? narrow : wide;
    const RegExp distance = a.r15 * static_cast<int>(address.element);
    if (const auto base = simple(first)) {
        a.lea(sum, a.ptr[*base + distance]);
        return;
    }
    const auto in_memory = [this](int guest) {
        return guest != EffectiveAddress::none && !a.host_register(static_cast<unsigned>(guest));
    };
    const bool wants_r15 =
        address.segment != EffectiveAddress::none || (in_memory(address.base) && in_memory(address.index));
    if (wants_r15) {
        a.mov(a.state(layout.operand), a.r15);
    }
    put_address(to, first);
    if (wants_r15) {
        a.mov(a.r15, a.state(layout.operand));
    }
    a.lea(sum, a.ptr[to + distance]);
}

// All flags but CF stay as they are, as on processors.
bool BlockCompiler::bit_string(const Decoded& decoded) {
    const ZydisDecodedOperand& memory = decoded.operands[0];
    if (!is_bit_string(decoded) || !addressable(decoded, memory)) {
        return false;
    }
    const ZydisMnemonic mnemonic = decoded.info.mnemonic;
    const unsigned size = memory.size / 8U;
    const Access access = mnemonic == ZYDIS_MNEMONIC_BT ? Access::read : Access::write;
    const RegExp host = look_up(address_of(decoded, memory, next_rip()), size, access);
    const unsigned guest = number_of(decoded.operands[1].reg.value);
    const auto change = [&](const auto& element, const Reg& bit) {
        switch (mnemonic) {
        case ZYDIS_MNEMONIC_BTS: a.bts(element, bit); break;
        case ZYDIS_MNEMONIC_BTR: a.btr(element, bit); break;
        case ZYDIS_MNEMONIC_BTC: a.btc(element, bit); break;
        default: a.bt(element, bit); break;
        }
    };
    if (locked(decoded)) { // by a bit of this element
        a.pext(a.r15, a.guest(guest, a.r15), a.state(layout.bit_numbers(size)));
        expect_trap();
        a.lock();
        change(a.ptr[host], part_of(a.r15, size));
        return true;
    }
    // Of a register the host takes the number as it is, and is faster.
    const auto load = [&](const Reg64& to, const RegExp& from) {
        expect_trap();
        size == 2 ? a.movzx(to.cvt32(), a.word[from]) : a.mov(part_of(to, size), a.ptr[from]);
    };
    if (access == Access::read) {
        load(a.rcx, host);
        change(part_of(a.rcx, size), part_of(a.guest(guest, a.r15), size));
        return true;
    }
    a.lea(a.rcx, a.ptr[host]);
    load(a.r15, a.rcx);
    if (!a.host_register(guest)) {
        in_r14_ = 0;
    }
    change(part_of(a.r15, size), part_of(a.guest(guest, a.r14), size));
    expect_trap();
    a.mov(a.ptr[a.rcx], part_of(a.r15, size));
    return true;
}

// What is not aligned traps, as on processors: the interpreter faults with it.
bool BlockCompiler::exchange_pair(const Decoded& decoded) {
    const ZydisDecodedOperand& memory = decoded.operands[0];
    const bool wide = decoded.info.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B;
    if ((!wide && decoded.info.mnemonic != ZYDIS_MNEMONIC_CMPXCHG8B) || !addressable(decoded, memory) ||
        !x86::has_instruction(host_, decoded.info)) {
        return false;
    }
    const RegExp host = look_up(address_of(decoded, memory, next_rip()), memory.size / 8U, Access::write);
    a.lea(a.r15, a.ptr[host]);
    if (const Reg64 high = a.guest(x86::rcx, a.rcx); high != a.rcx) {
        a.mov(a.rcx, high);
    }
    expect_trap();
    if (locked(decoded)) {
        a.lock();
    }
    wide ? a.cmpxchg16b(a.ptr[a.r15]) : a.cmpxchg8b(a.ptr[a.r15]);
    return true;
}

} // namespace strata::cpu::translator
