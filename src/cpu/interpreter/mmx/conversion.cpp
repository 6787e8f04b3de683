// Conversions between integers in MM registers and floating-point numbers in XMM registers. SDM volume 2,
// CVTPI2PS to CVTTPS2PI.
#include "cpu/interpreter/mmx/groups.hpp"
#include "cpu/interpreter/mmx/instruction.hpp"
#include "cpu/interpreter/simd/fp_exceptions.hpp"
#include "cpu/x86/fp_unit_sse.hpp"

namespace strata::cpu::interpreter::mmx {

namespace {

namespace unit = x86::sse_unit;

using Convert = Block (*)(Block);

Block converted(Cpu& cpu, Convert convert, Block value) {
    return simd::computed(cpu, [&] { return convert(value); });
}

// ---- to XMM ----

// Two singles; the register's upper half stays.
void integers_to_singles(Cpu& cpu, const Insn& insn) {
    const Block singles = converted(cpu, &unit::cvtdq2ps, Block{source(cpu, insn)});
    simd::write(cpu, insn, Block{singles[0], simd::read_block(cpu, insn.reg)[1]});
}

void integers_to_doubles(Cpu& cpu, const Insn& insn) {
    simd::write(cpu, insn, converted(cpu, &unit::cvtdq2pd, Block{source(cpu, insn)}));
}

// An operand in memory leaves the x87 state alone.
template <Handler body>
void from_integers(Cpu& cpu, const Insn& insn) {
    if (!insn.memory) {
        if (ready(cpu, insn)) {
            take_over(cpu.fp); // before numeric exceptions
            body(cpu, insn);
        }
        return;
    }
    if (cpu.system.cr0 & x86::cr0::ts) {
        cpu.raise(x86::Vector::device_not_available);
    }
    body(cpu, insn);
}

// ---- to MM: the unit is taken over once the operand is there, before numeric exceptions are ----

template <Convert convert>
void singles_to_integers(Cpu& cpu, const Insn& insn) {
    const Block singles = simd::low_lane(simd::low_source<std::uint64_t>(cpu, insn)[0]);
    take_over(cpu.fp);
    write(cpu, insn.reg, converted(cpu, convert, singles)[0]);
}

template <Convert convert>
void doubles_to_integers(Cpu& cpu, const Insn& insn) {
    const Block doubles = simd::source<1>(cpu, insn)[0];
    take_over(cpu.fp);
    write(cpu, insn.reg, converted(cpu, convert, doubles)[0]);
}

template <Handler handler>
Handler select_sse(const Decoded& decoded, Insn&) {
    return decoded.sse == Availability::invalid_opcode ? nullptr : handler;
}

constexpr Row rows[] = {
    STRATA_SSE(CVTPI2PS, select_sse<from_integers<integers_to_singles>>),
    STRATA_SSE(CVTPI2PD, select_sse<from_integers<integers_to_doubles>>),
    STRATA_SSE(CVTPS2PI, select_sse<instruction<singles_to_integers<&unit::cvtps2dq>>>),
    STRATA_SSE(CVTTPS2PI, select_sse<instruction<singles_to_integers<&unit::cvttps2dq>>>),
    STRATA_SSE(CVTPD2PI, select_sse<instruction<doubles_to_integers<&unit::cvtpd2dq>>>),
    STRATA_SSE(CVTTPD2PI, select_sse<instruction<doubles_to_integers<&unit::cvttpd2dq>>>),
};

} // namespace

Rows conversion_rows() { return rows; }

} // namespace strata::cpu::interpreter::mmx
