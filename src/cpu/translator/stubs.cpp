#include "cpu/translator/stubs.hpp"

#include <ranges>

namespace strata::cpu::translator {

namespace {

using Xbyak::Reg64;
using Xbyak::Xmm;
using Xbyak::Ymm;

constexpr std::array<int, 6> callee_saved{3, 5, 12, 13, 14, 15}; // rBX, rBP, R12 to R15

class StubEmitter {
public:
    StubEmitter(Assembler& assembler, const Services& services)
        : a(assembler), layout(assembler.layout()), services_(services) {}

    Stubs emit() {
        Stubs stubs;
        stubs.enter = begin();
        emit_enter();
        stubs.leave = begin();
        a.L(leave_);
        emit_leave();
        stubs.exit_link = begin();
        a.mov(a.state(layout.exit_link), a.r14);
        a.jmp(leave_, Assembler::T_NEAR);
        stubs.signal = begin();
        emit_signal();
        stubs.interpret = begin();
        emit_interpret(false);
        stubs.interpret_with_vectors = begin();
        emit_interpret(true);
        stubs.load_vectors = begin();
        emit_load_vectors();
        stubs.load_x87 = begin();
        emit_load_x87();
        for (const bool narrow : {false, true}) {
            for (unsigned view = 0; view < stubs.fill_regions[narrow].size(); ++view) {
                for (const bool write : {false, true}) {
                    stubs.fill_regions[narrow][view][write] = begin();
                    emit_fill_region(narrow, static_cast<interpreter::DataView>(view), write);
                }
            }
        }
        begin();
        emit_grow_region();
        stubs.walk_region = begin();
        emit_walk_region();
        stubs.time_stamp = begin();
        emit_time_stamp();
        const FastCallExits exits{stubs.interpret, stubs.leave};
        emit_fast_calls(a, exits, stubs);
        stubs.interrupt_return = emit_interrupt_return(a, exits);
        stubs.strings = emit_string_stubs(a, stubs.interpret);
        return stubs;
    }

private:
    std::uint8_t* begin() {
        a.align(16);
        return a.here();
    }

    void load_registers() { load_registers_from(layout.regs); }

    void save_registers() { save_registers_to(layout.regs); }

    // In places as the processor's for those that are usually in registers.
    void load_registers_from(int places) {
        for (unsigned guest = 0; guest < 16; ++guest) {
            if (const auto host = usual_registers.host(guest); host && *host != 0) {
                a.mov(Reg64(static_cast<int>(*host)), a.state(places + static_cast<int>(guest) * 8));
            }
        }
        a.mov(a.eax, a.state32(layout.flags));
        a.add(a.al, 127); // OF
        a.sahf();
        a.mov(a.rax, a.state(places));
    }

    void save_registers_to(int places) {
        for (unsigned guest = 0; guest < 16; ++guest) {
            if (const auto host = usual_registers.host(guest)) {
                a.mov(a.state(places + static_cast<int>(guest) * 8), Reg64(static_cast<int>(*host)));
            }
        }
        a.lahf();
        a.seto(a.al);
        a.mov(a.state32(layout.flags), a.eax);
    }

    void save_vectors() {
        Label saved;
        a.cmp(a.state32(layout.vectors_in_memory), 0);
        a.jne(saved, Assembler::T_NEAR);
        for (unsigned i = 0; i < 16; ++i) {
            a.vmovups(a.state(layout.vector(i)), Ymm(static_cast<int>(i)));
        }
        a.vzeroupper();
        a.mov(a.state32(layout.vectors_in_memory), 1);
        a.L(saved);
    }

    // Leaves the host's unit as the ABI has it.
    void save_x87() {
        Label saved;
        a.cmp(a.state32(layout.x87_place), X87Unit::in_unit);
        a.jne(saved);
        a.fnsave(a.ptr[a.rsp + layout.x87_image]);
        a.mov(a.state32(layout.x87_place), X87Unit::in_image);
        a.L(saved);
    }

    // Changes no flags. Uses rCX. SSE's instructions keep upper halves: each waits for what wrote its
    // register before, if the host does not know them to be zero.
    void load_vector_registers() {
        Label narrow, wide, loaded;
        for (unsigned i = 0; i < 16; ++i) {
            const Xmm sum(static_cast<int>(i % 2));
            i < 2 ? a.vmovups(sum, a.state(layout.vector(i) + 16))
                  : a.vorps(sum, sum, a.state(layout.vector(i) + 16));
        }
        a.vorps(a.xmm0, a.xmm0, a.xmm1);
        a.vmovhlps(a.xmm1, a.xmm0, a.xmm0);
        a.vorps(a.xmm0, a.xmm0, a.xmm1);
        a.vmovq(a.rcx, a.xmm0);
        a.jrcxz(narrow);
        a.jmp(wide, Assembler::T_NEAR);
        a.L(narrow);
        a.vzeroupper();
        for (unsigned i = 0; i < 16; ++i) {
            a.vmovups(Xmm(static_cast<int>(i)), a.state(layout.vector(i)));
        }
        a.jmp(loaded, Assembler::T_NEAR);
        a.L(wide);
        for (unsigned i = 0; i < 16; ++i) {
            a.vmovups(Ymm(static_cast<int>(i)), a.state(layout.vector(i)));
        }
        a.L(loaded);
        a.mov(a.state32(layout.vectors_in_memory), 0);
    }

    void emit_enter() {
        for (const int reg : callee_saved) {
            a.push(Reg64(reg));
        }
        a.sub(a.rsp, 8); // so that calls find the stack aligned
        a.mov(a.ptr[a.rdi + layout.host_rsp], a.rsp);
        a.mov(a.rsp, a.rdi);
        load_registers();
        a.jmp(a.state(layout.entry));
    }

    void emit_leave() {
        save_registers();
        a.L(saved_);
        save_vectors();
        save_x87();
        a.mov(a.rsp, a.state(layout.host_rsp));
        a.add(a.rsp, 8);
        for (const int reg : callee_saved | std::views::reverse) {
            a.pop(Reg64(reg));
        }
        a.ret();
    }

    // With the processor and R14, all of the guest being in memory. The result is in rAX.
    template <class Service>
    void call(Service* service) {
        a.mov(a.rbx, a.rsp);
        a.mov(a.rdi, a.rsp);
        a.mov(a.rsi, a.r14);
        a.mov(a.rsp, a.state(layout.host_rsp));
        a.mov(a.rax, reinterpret_cast<std::uintptr_t>(service));
        a.call(a.rax);
        a.mov(a.rsp, a.rbx);
    }

    void emit_signal() {
        save_registers();
        save_vectors();
        save_x87();
        call(services_.take_signal);
        a.cmp(a.rax, leave_translated_code);
        a.je(saved_, Assembler::T_NEAR);
        a.mov(a.state(layout.entry), a.rax);
        load_registers();
        a.jmp(a.state(layout.entry));
    }

    void emit_interpret(bool with_vectors) {
        Label resumed;
        a.pop(a.state(layout.resume)); // rSP counts as it is after the pop
        save_registers();
        save_vectors();
        save_x87();
        call(services_.interpret);
        a.test(a.rax, a.rax);
        a.je(resumed);
        a.mov(a.state(layout.exit_link), 0);
        a.cmp(a.rax, leave_translated_code);
        a.je(saved_, Assembler::T_NEAR);
        a.mov(a.state(layout.entry), a.rax);
        load_registers();
        a.jmp(a.state(layout.entry));
        a.L(resumed);
        if (with_vectors) {
            load_vector_registers();
        }
        load_registers();
        a.jmp(a.state(layout.resume));
    }

    void emit_load_vectors() {
        leave_if(layout.vectors_unusable);
        a.pop(a.r14);
        load_vector_registers();
        a.jmp(a.r14);
    }

    void emit_load_x87() {
        leave_if(layout.x87_unusable);
        call_in_cpp(services_.load_x87);
        a.frstor(a.ptr[a.rsp + layout.x87_image]);
        a.mov(a.state32(layout.x87_place), X87Unit::in_unit);
        a.jmp(a.state(layout.resume));
    }

    // Stubs::load_vectors' way out.
    void leave_if(int unusable) {
        Label usable;
        a.mov(a.ecx, a.state32(unusable + 8)); // below the return address
        a.jrcxz(usable);
        a.lea(a.rsp, a.ptr[a.rsp + 8]);
        if (layout.remaining) {
            a.mov(a.rcx, a.state(*layout.remaining));
            a.lea(a.rcx, a.ptr[a.rcx + a.r15]);
            a.mov(a.state(*layout.remaining), a.rcx);
        }
        a.mov(a.state(layout.rip), a.r14);
        a.mov(a.state(layout.exit_link), 0);
        a.jmp(leave_, Assembler::T_NEAR);
        a.L(usable);
    }

    // Within a called stub: the state is above the return address.
    [[nodiscard]] Xbyak::Address below(int offset) const { return a.state(offset + 8); }

    // Of the region with that number.
    [[nodiscard]] Xbyak::RegExp fill_of(const Reg64& number) const {
        static_assert(sizeof(RegionFill) == 8);
        return a.rsp + number * 8 + static_cast<std::size_t>(layout.fills + 8);
    }

    // The address that an instruction adds up may have to be reduced modulo 2^32: the interpreter's work.
    void return_if_not_narrow() {
        Label narrow;
        a.pext(a.rcx, a.rcx, below(layout.upper_half));
        a.jrcxz(narrow);
        a.ret();
        a.L(narrow);
        a.mov(a.rcx, below(layout.missed_at));
    }

    void emit_fill_region(bool narrow, interpreter::DataView view, bool write) {
        const int tags = write ? layout.write_tags(view) : layout.read_tags(view);
        const auto in_set = [&](int array) { return a.qword[a.rsp + a.r15 * 8 + array + 8]; };
        Label hit, is_listed, listed, grow;
        a.mov(below(layout.missed), a.r14);
        a.mov(below(layout.missed_at), a.rcx);
        if (narrow) {
            return_if_not_narrow();
        }
        a.pext(a.r15, a.rcx, below(layout.index_mask));
        a.movzx(a.r14d, a.word[fill_of(a.r14) + offsetof(RegionFill, last)]);
        a.lea(a.rcx, a.ptr[a.rcx + a.r14]);
        a.mov(a.r14, in_set(tags));
        a.pext(a.rcx, a.rcx, below(layout.page_mask));
        a.lea(a.rcx, a.ptr[a.rcx + a.r14]);
        a.jrcxz(hit);
        a.ret();
        a.L(hit);
        a.pdep(a.r14, a.r14, below(layout.page_mask)); // minus the page's address
        a.mov(a.rcx, below(layout.missed));
        a.lea(a.rcx, a.ptr[a.rcx * (sizeof(Region) / 8)]);
        a.lea(a.rcx, a.ptr[a.rsp + a.rcx * 8 + layout.regions + 8]);
        a.mov(a.qword[a.rcx + region_minus_base], a.r14);
        a.mov(a.r14, below(layout.missed));
        a.movzx(a.r14d, a.word[fill_of(a.r14) + offsetof(RegionFill, last)]);
        a.lea(a.r14, a.ptr[a.r14 - static_cast<int>(memory::page_size)]);
        a.mov(a.qword[a.rcx + region_minus_limit], a.r14);
        a.mov(a.r14, in_set(layout.addends(view)));
        a.mov(a.qword[a.rcx + region_addend], a.r14);
        // Which list it belongs into: rCX.
        a.mov(a.r14, below(layout.missed_at));
        a.pext(a.r14, a.r14, below(layout.sign));
        a.mov(a.r15, in_set(layout.physicals(view)));
        a.pext(a.r14, a.r15, a.r14); // bit 0 is TlbEntry::global
        a.xchg(a.rcx, a.r14);
        // The lists that it is in already, and its physical address: R15.
        a.mov(below(layout.scratch[0]), a.r15);
        a.mov(a.r15, a.qword[a.r14 + region_physical]);
        a.pext(a.r15, a.r15, below(layout.both_lists));
        a.pdep(a.r15, a.r15, below(layout.both_lists));
        a.mov(below(layout.scratch[1]), a.rcx);
        a.pext(a.rcx, a.r15, a.qword[a.rsp + a.rcx * 8 + layout.list_bits + 8]);
        a.mov(a.qword[a.r14 + region_physical], a.r15);
        a.jrcxz(listed);
        a.jmp(is_listed);
        a.L(listed);
        a.mov(a.rcx, below(layout.scratch[1]));
        a.mov(a.rcx, a.qword[a.rsp + a.rcx * 8 + layout.list_bits + 8]);
        a.lea(a.r15, a.ptr[a.r15 + a.rcx]);
        a.mov(a.qword[a.r14 + region_physical], a.r15);
        a.mov(a.r15, below(layout.scratch[1]));
        a.mov(a.rcx, a.qword[a.rsp + a.r15 * 8 + layout.filled_end + 8]);
        a.mov(a.qword[a.rsp + a.rcx * 8 + layout.filled + 8], a.r14);
        a.lea(a.rcx, a.ptr[a.rcx + 1]);
        a.mov(a.qword[a.rsp + a.r15 * 8 + layout.filled_end + 8], a.rcx);
        a.L(is_listed);
        a.mov(a.r15, a.qword[a.r14 + region_physical]);
        a.mov(a.rcx, below(layout.scratch[0]));
        a.lea(a.r15, a.ptr[a.r15 + a.rcx]);
        a.mov(a.qword[a.r14 + region_physical], a.r15);
        a.mov(a.r15, below(layout.missed));
        a.mov(a.ecx, a.dword[fill_of(a.r15) + offsetof(RegionFill, until_growth)]);
        a.lea(a.ecx, a.ptr[a.rcx - 1]);
        a.mov(a.dword[fill_of(a.r15) + offsetof(RegionFill, until_growth)], a.ecx);
        a.jrcxz(grow);
        a.mov(a.r14, a.qword[a.r14 + region_addend]);
        a.mov(a.ecx, 0);
        a.mov(below(layout.missed), a.rcx);
        a.ret();
        a.L(grow);
        a.jmp(grow_, Assembler::T_NEAR);
    }

    // What C++ does, of the region that was missed, with the guest's state where it is; its result is in R14.
    void call_in_cpp(std::uint64_t (*service)(interpreter::Cpu*, std::uint64_t)) {
        Label loaded, saved, x87_loaded;
        a.pop(a.state(layout.resume));
        save_registers_to(layout.kept); // the trace may have others in them than usual
        a.mov(a.ebp, a.state32(layout.vectors_in_memory));
        save_vectors();
        a.mov(a.r12d, a.state32(layout.x87_place));
        a.test(a.r12d, a.r12d);
        a.jne(saved);
        a.fnsave(a.ptr[a.rsp + layout.x87_image]);
        a.L(saved);
        a.mov(a.rbx, a.rsp);
        a.mov(a.rdi, a.rsp);
        a.mov(a.rsi, a.state(layout.missed));
        a.mov(a.rsp, a.state(layout.host_rsp));
        a.mov(a.rax, reinterpret_cast<std::uintptr_t>(service));
        a.call(a.rax);
        a.mov(a.rsp, a.rbx);
        a.mov(a.r14, a.rax);
        a.test(a.r12d, a.r12d);
        a.jne(x87_loaded);
        a.frstor(a.ptr[a.rsp + layout.x87_image]);
        a.L(x87_loaded);
        a.test(a.ebp, a.ebp);
        a.jne(loaded, Assembler::T_NEAR);
        load_vector_registers();
        a.L(loaded);
        load_registers_from(layout.kept);
    }

    // Called as fill_region is, when the region has been filled: C++ makes it larger.
    void emit_grow_region() {
        a.L(grow_);
        call_in_cpp(services_.grow_region);
        a.mov(a.ecx, 0);
        a.mov(a.state(layout.missed), a.rcx);
        a.jmp(a.state(layout.resume));
    }

    void emit_walk_region() {
        Label worth_it;
        a.mov(a.rcx, below(layout.missed));
        a.movzx(a.ecx, a.word[fill_of(a.rcx) + offsetof(RegionFill, hopeless)]);
        a.jrcxz(worth_it);
        a.mov(below(layout.missed), static_cast<int>(Regions::none));
        a.ret();
        a.L(worth_it);
        call_in_cpp(services_.walk_region);
        a.mov(a.rcx, a.r14);
        a.jmp(a.state(layout.resume));
    }

    // C++ keeps what it has to keep; the others are put away, whatever the trace has in them.
    void emit_time_stamp() {
        constexpr std::array put_away{3, 6, 7, 8, 9, 10, 11}; // rBX, rSI, rDI, R8 to R11
        const auto place = [&](int reg) { return a.state(layout.kept + reg * 8); };
        a.lea(a.rsp, a.ptr[a.rsp + 8]); // the host's signals leave alone what is just below
        for (const int reg : put_away) {
            a.mov(place(reg), Reg64(reg));
        }
        a.lahf();
        a.seto(a.al);
        a.mov(place(0), a.rax);
        save_vectors();
        save_x87();
        a.mov(a.rbx, a.rsp);
        a.mov(a.rdi, a.rsp);
        a.mov(a.rsp, a.state(layout.host_rsp));
        a.mov(a.rax, reinterpret_cast<std::uintptr_t>(services_.time_stamp));
        a.call(a.rax);
        a.mov(a.rsp, a.rbx);
        a.mov(a.rcx, a.rax);
        a.mov(a.rax, place(0));
        a.add(a.al, 127); // OF
        a.sahf();
        a.mov(a.eax, a.ecx);
        a.rorx(a.rdx, a.rcx, 32);
        a.mov(a.edx, a.edx);
        for (const int reg : put_away) {
            a.mov(Reg64(reg), place(reg));
        }
        a.lea(a.rsp, a.ptr[a.rsp - 8]);
        a.ret();
    }

    Assembler& a;
    const StateLayout& layout;
    Services services_;
    Label leave_, saved_, grow_;
};

} // namespace

Stubs emit_stubs(Assembler& assembler, const Services& services) {
    return StubEmitter(assembler, services).emit();
}

} // namespace strata::cpu::translator
