// LDMXCSR, STMXCSR; MOVNTI; and AMD's SSE4a bit fields: EXTRQ, INSERTQ. SDM volume 2; APM volume 4.
#include "cpu/interpreter/simd/groups.hpp"
#include "cpu/interpreter/simd/select.hpp"
#include "cpu/x86/mxcsr.hpp"

namespace strata::cpu::interpreter::simd {
namespace {

using std::uint32_t, std::uint64_t;

// ---- MXCSR ----

void load_mxcsr(Cpu& cpu, const Insn& insn) {
    const auto value = cpu.load<uint32_t>(insn);
    const auto writable =
        cpu.model().has(x86::Feature::misalignsse) ? x86::mxcsr::writable_misaligned : x86::mxcsr::writable;
    if (value & ~writable) {
        cpu.raise_gp();
    }
    cpu.set_mxcsr(value);
}

void store_mxcsr(Cpu& cpu, const Insn& insn) { cpu.store<uint32_t>(insn, cpu.mxcsr()); }

// ---- a store of a general register that goes past the caches; the state of SSE does not matter ----

template <class T>
void store_general(Cpu& cpu, const Insn& insn) {
    cpu.store<T>(insn, cpu.reg<T>(insn.reg));
}

Handler select_store_general(const Decoded& decoded, Insn&) {
    return decoded.operands[0].size == 64 ? &store_general<uint64_t> : &store_general<uint32_t>;
}

// ---- bit fields of the low quadword ----

struct Field {
    unsigned length, index;

    // From two six-bit numbers; a length of 0 means 64.
    static constexpr Field of(uint64_t length, uint64_t index) {
        return {length % 64 == 0 ? 64 : static_cast<unsigned>(length % 64),
                static_cast<unsigned>(index % 64)};
    }

    [[nodiscard]] constexpr uint64_t mask() const { return ~uint64_t{0} >> (64 - length); }
};

void extract(Cpu& cpu, const Insn& insn, unsigned destination, Field field) {
    Block value = read_block(cpu, destination);
    value[0] = value[0] >> field.index & field.mask();
    write_register<1>(cpu, insn, destination, {value});
}

void insert(Cpu& cpu, const Insn& insn, Field field) {
    Block value = read_block(cpu, insn.reg);
    const uint64_t inserted = read_block(cpu, insn.rm)[0] & field.mask();
    value[0] = (value[0] & ~(field.mask() << field.index)) | inserted << field.index;
    write(cpu, insn, value);
}

void extract_immediate(Cpu& cpu, const Insn& insn) {
    extract(cpu, insn, insn.rm, Field::of(immediate(insn), insn.extra));
}

void extract_register(Cpu& cpu, const Insn& insn) {
    const uint64_t field = read_block(cpu, insn.rm)[0];
    extract(cpu, insn, insn.reg, Field::of(field, field >> 8));
}

void insert_immediate(Cpu& cpu, const Insn& insn) {
    insert(cpu, insn, Field::of(immediate(insn), insn.extra));
}

void insert_register(Cpu& cpu, const Insn& insn) {
    const uint64_t field = read_block(cpu, insn.rm)[1];
    insert(cpu, insn, Field::of(field, field >> 8));
}

template <Handler by_immediate, Handler by_register>
Handler select_field(const Decoded& decoded, Insn& insn) {
    const bool has_immediate = decoded.info.raw.imm[0].size != 0;
    return select_form(decoded, insn, has_immediate ? by_immediate : by_register, nullptr);
}

constexpr Row rows[] = {
    STRATA_SSE_AVX(LDMXCSR, fixed_128<&load_mxcsr>),
    STRATA_SSE_AVX(STMXCSR, fixed_128<&store_mxcsr>),
    STRATA_SSE(MOVNTI, select_store_general),
    STRATA_SSE(EXTRQ, select_field<&extract_immediate, &extract_register>),
    STRATA_SSE(INSERTQ, select_field<&insert_immediate, &insert_register>),
};

} // namespace

constinit const Rows control_rows = rows;

} // namespace strata::cpu::interpreter::simd
