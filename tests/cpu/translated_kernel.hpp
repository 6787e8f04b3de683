// What tests of ways into a kernel and out of it share.
#pragma once

#include "translated_run.hpp"

namespace strata::cpu::translator {

inline constexpr std::uint64_t kernel_at = 0x3'0000, program_at = 0x3'1000;

inline void write(TestCpu& cpu, std::uint64_t at, Xbyak::CodeGenerator& code) {
    cpu.write_bytes(at, std::span(code.getCode(), code.getSize()));
}

// Into rDI. Uses rAX.
inline void note_segments_and_flags(Xbyak::CodeGenerator& c) {
    using namespace Xbyak::util; // NOLINT: the registers' names
    c.pushfq();
    c.pop(rax);
    c.add(rdi, rax);
    c.rol(rdi, 1);
    c.db(0x8C), c.db(0xC8); // mov eax, cs
    c.add(rdi, rax);
    c.db(0x8C), c.db(0xD0); // mov eax, ss
    c.lea(rdi, ptr[rdi + rax * 4]);
    c.db(0x8C), c.db(0xD8); // mov eax, ds
    c.lea(rdi, ptr[rdi + rax * 8]);
}

} // namespace strata::cpu::translator
