// What stubs that do an instruction's work without the interpreter are made of. They are called as
// Stubs::interpret is: with R14 = Site*, guest registers where they usually are, the processor's state above
// the return address.
#pragma once

#include "cpu/translator/assembler.hpp"

#include <bit>

namespace strata::cpu::translator {

class StubParts {
protected:
    explicit StubParts(Assembler& assembler) : a(assembler), layout(assembler.layout()) {}

    static constexpr int return_address = 8;
    static constexpr int guest_rcx = 13, guest_rsp = 12, guest_r11 = 11; // host registers
    static constexpr unsigned above = 7, equal = 4, not_equal = 5,
                              greater = 15; // conditions, as opcodes have them

    [[nodiscard]] Xbyak::Address below(int offset) const { return a.state(offset + return_address); }

    [[nodiscard]] Xbyak::Address below32(int offset) const { return a.state32(offset + return_address); }

    // From here on rAX is free, and so are flags.
    void put_flags_away() {
        a.mov(below(layout.scratch[0]), a.rax);
        a.lahf();
        a.seto(a.al);
        a.mov(below(layout.scratch[1]), a.rax);
    }

    void give_flags_back() {
        a.mov(a.rax, below(layout.scratch[1]));
        a.add(a.al, 127); // OF
        a.sahf();
        a.mov(a.rax, below(layout.scratch[0]));
    }

    // To `slow` unless R14 bytes from `address` on are in one page. Uses rCX.
    void leave_unless_in_page(const Xbyak::Reg64& address, Label& slow) {
        a.mov(a.rcx, address);
        a.or_(a.rcx, -static_cast<int>(memory::page_size)); // minus what is left of the page
        a.add(a.rcx, a.r14);
        a.jump_if(greater, slow, Assembler::T_NEAR);
    }

    // R15: what makes a host address of `address`; to `slow` if the TLB set `distance` from `set` does not
    // have the page. Uses R14.
    void find_in_tlb(const Xbyak::Reg64& set, int distance, const Xbyak::Reg64& address, bool writes,
                     Label& slow) {
        const StateLayout::TlbArrays& arrays = layout.tlb_arrays;
        const auto in_set = [&](int array) { return a.qword[set + a.r14 * 8 + distance + array]; };
        a.mov(a.r15, address);
        a.shr(a.r15, memory::page_shift);
        a.mov(a.r14d, a.r15d);
        a.and_(a.r14d, interpreter::TlbSet::size - 1);
        a.add(a.r15, in_set(writes ? arrays.write_tags : arrays.read_tags));
        a.jne(slow, Assembler::T_NEAR);
        a.mov(a.r15, in_set(arrays.addends));
    }

    // ---- behind the return address ----

    // CS and SS out of the state, a CodeAndStack, and what follows from the privilege level. Uses R15.
    void load(int segments, unsigned privilege, interpreter::DataView view) {
        static_assert(sizeof(interpreter::CodeAndStack) == 2 * sizeof(x86::Segment) &&
                      sizeof(x86::Segment) % 8 == 0 && x86::ss == x86::cs + 1);
        for (int at = 0; at < static_cast<int>(sizeof(interpreter::CodeAndStack)); at += 8) {
            a.mov(a.r15, a.state(segments + at));
            a.mov(a.state(layout.code_segment + at), a.r15);
        }
        a.mov(a.state32(layout.cpl), privilege);
        a.mov(a.byte[a.rsp + layout.user_mode], privilege == 3 ? 1 : 0);
        a.mov(a.byte[a.rsp + layout.data_view], static_cast<int>(view));
        a.mov(a.r15, reinterpret_cast<std::uintptr_t>(layout.data_sets[static_cast<std::size_t>(view)]));
        a.mov(a.state(layout.data_tlb), a.r15);
    }

    // Uses rAX and R15.
    void load_arithmetic_flags(const Xbyak::Reg32& from) {
        constexpr int of = std::countr_zero(x86::flag::of);
        a.mov(a.r15d, from);
        a.shl(a.r15d, 8); // AH, as SAHF has it
        a.mov(a.eax, from);
        a.shr(a.eax, of);
        a.and_(a.eax, 1);
        a.or_(a.eax, a.r15d);
        a.add(a.al, 127); // OF
        a.sahf();
    }

    // To the linear address in rCX, which nobody has looked at yet.
    void go_to_rcx(interpreter::DataView view, const std::uint8_t* leave) {
        const auto number = static_cast<std::size_t>(view);
        Label hit;
        a.mov(a.state(layout.rip), a.rcx);
        a.pext(a.r14, a.rcx, a.state(layout.jump_mask));
        a.mov(a.r15, a.qword[a.rsp + a.r14 * 8 + layout.jump_tags[number]]);
        a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
        a.jrcxz(hit);
        a.mov(a.ecx, 0);
        a.mov(a.state(layout.exit_link), a.rcx);
        a.jmp(leave);
        a.L(hit);
        a.jmp(a.qword[a.rsp + a.r14 * 8 + layout.jump_targets[number]]);
    }

    Assembler& a;
    const StateLayout& layout;
};

} // namespace strata::cpu::translator
