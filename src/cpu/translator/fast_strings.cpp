// The usual repeated string instructions of 64-bit code: forwards, by 64-bit addresses, source and
// destination in one page each, which the TLB has. SDM volume 2.
#include "cpu/translator/fast_strings.hpp"

#include "cpu/translator/stub_parts.hpp"

#include <bit>

namespace strata::cpu::translator {

namespace {

using Xbyak::Reg64;

class StringEmitter : StubParts {
public:
    StringEmitter(Assembler& assembler, const std::uint8_t* interpret)
        : StubParts(assembler), interpret_(interpret) {}

    // Called with R14 = Site*.
    const std::uint8_t* emit(bool moves, unsigned size) {
        Label slow, done;
        a.align(16);
        const std::uint8_t* const start = a.here();
        put_flags_away();
        a.mov(below(layout.kept), a.r14);
        a.test(below32(layout.other_flags), static_cast<std::uint32_t>(x86::flag::df));
        a.jne(slow, Assembler::T_NEAR);
        a.test(count(), count());
        a.je(done, Assembler::T_NEAR);
        a.cmp(count(), static_cast<unsigned>(memory::page_size) / size);
        a.jump_if(above, slow, Assembler::T_NEAR);
        if (moves) {
            look_up(a.rsi, size, false, slow);
            a.mov(below(layout.kept + 8), a.r15);
        }
        look_up(a.rdi, size, true, slow);
        give_flags_back();
        if (moves) {
            a.mov(a.r14, below(layout.kept + 8));
            a.lea(a.rsi, a.ptr[a.rsi + a.r14]);
        }
        a.lea(a.rdi, a.ptr[a.rdi + a.r15]);
        a.mov(a.rcx, count());
        repeat(moves, size);
        a.mov(count().cvt32(), 0);
        take_away(a.rdi, a.r15);
        if (moves) {
            take_away(a.rsi, a.r14);
        }
        a.ret();
        a.L(done);
        give_flags_back();
        a.ret();
        a.L(slow);
        give_flags_back();
        a.mov(a.r14, below(layout.kept));
        a.jmp(interpret_);
        return start;
    }

private:
    [[nodiscard]] static Reg64 count() { return Reg64(guest_rcx); }

    // R15: what makes a host address of `address`, if all elements from there on are in its page.
    void look_up(const Reg64& address, unsigned size, bool writes, Label& slow) {
        a.mov(a.r14, count());
        a.shl(a.r14, std::countr_zero(size));
        leave_unless_in_page(address, slow);
        a.mov(a.rcx, below(layout.data_tlb));
        find_in_tlb(a.rcx, 0, address, writes, slow);
    }

    void repeat(bool moves, unsigned size) {
        a.rep();
        switch (size) {
        case 1: moves ? a.movsb() : a.stosb(); break;
        case 2: moves ? a.movsw() : a.stosw(); break;
        case 4: moves ? a.movsd() : a.stosd(); break;
        default: moves ? a.movsq() : a.stosq(); break;
        }
    }

    // Without a change of flags.
    void take_away(const Reg64& from, const Reg64& what) {
        a.not_(what);
        a.lea(from, a.ptr[from + what + 1]);
    }

    const std::uint8_t* interpret_;
};

std::optional<unsigned> element_of(ZydisMnemonic mnemonic, bool& moves) {
    moves = false;
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_STOSB: return 0;
    case ZYDIS_MNEMONIC_STOSW: return 1;
    case ZYDIS_MNEMONIC_STOSD: return 2;
    case ZYDIS_MNEMONIC_STOSQ: return 3;
    default: break;
    }
    moves = true;
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVSB: return 0;
    case ZYDIS_MNEMONIC_MOVSW: return 1;
    case ZYDIS_MNEMONIC_MOVSD: return 2; // the category tells it from SSE2's
    case ZYDIS_MNEMONIC_MOVSQ: return 3;
    default: return std::nullopt;
    }
}

} // namespace

std::optional<const std::uint8_t*> StringStubs::find(const Decoded& decoded) const {
    constexpr auto elsewhere = ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS;
    const ZydisDecodedInstruction& info = decoded.info;
    bool moves = false;
    const auto element = element_of(info.mnemonic, moves);
    if (!element || info.meta.category != ZYDIS_CATEGORY_STRINGOP || info.address_width != 64 ||
        (info.attributes & ZYDIS_ATTRIB_HAS_REP) == 0 || (info.attributes & elsewhere) != 0) {
        return std::nullopt;
    }
    return moves ? move[*element] : store[*element];
}

StringStubs emit_string_stubs(Assembler& assembler, const std::uint8_t* interpret) {
    StringEmitter emitter(assembler, interpret);
    StringStubs stubs;
    for (unsigned element = 0; element < 4; ++element) {
        stubs.store[element] = emitter.emit(false, 1U << element);
        stubs.move[element] = emitter.emit(true, 1U << element);
    }
    return stubs;
}

} // namespace strata::cpu::translator
