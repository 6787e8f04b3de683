// The XSAVE family: state components saved and restored by mask. SDM volume 1 chapter 13, volume 2.
#include "cpu/interpreter/extended_state.hpp"

#include <algorithm>
#include <span>

namespace strata::cpu::interpreter {

namespace area = x86::xsave_area;

namespace {

constexpr unsigned alignment = 64;

enum class Save : std::uint8_t { standard, optimized, compacted, supervisor };
enum class Restore : std::uint8_t { user, supervisor };

void require_xsave(Cpu& cpu) {
    if (!(cpu.system.cr4 & x86::cr4::osxsave)) {
        cpu.raise_ud();
    }
    if (cpu.system.cr0 & x86::cr0::ts) {
        cpu.raise(x86::Vector::device_not_available);
    }
}

void require_supervisor(Cpu& cpu) {
    if (cpu.cpl() != 0) {
        cpu.raise_gp();
    }
}

// RFBM, the requested-feature bitmap.
std::uint64_t requested(const Cpu& cpu, bool supervisor) {
    const std::uint64_t mask = cpu.regs[x86::rdx] << 32 | (cpu.regs[x86::rax] & 0xFFFF'FFFF);
    return mask & (cpu.system.xcr0 | (supervisor ? cpu.system.xss : 0));
}

// ---- initial configurations ----

bool lanes_are_zero(const x86::FpState& fp, unsigned first_lane) {
    return std::ranges::all_of(fp.ymm, [first_lane](const x86::Vector256& ymm) {
        return (ymm.lanes[first_lane] | ymm.lanes[first_lane + 1]) == 0;
    });
}

bool x87_is_initial(const x86::FpState& fp) {
    return fp.fcw == x86::fcw::initial && fp.fsw == 0 && fp.abridged_tag == 0 && fp.fop == 0 &&
           (fp.fip | fp.fdp | fp.fcs | fp.fds) == 0 &&
           std::ranges::all_of(fp.physical,
                               [](const x86::Float80& value) { return value == x86::Float80{}; });
}

// XINUSE: the components that are not in their initial configuration.
std::uint64_t in_use(const x86::FpState& fp) {
    return (x87_is_initial(fp) ? 0 : area::x87) | (lanes_are_zero(fp, 0) ? 0 : area::sse) |
           (lanes_are_zero(fp, 2) ? 0 : area::avx);
}

// ---- saving ----

void add_components(const Cpu& cpu, const Insn& insn, SaveArea& image, std::uint64_t components) {
    const unsigned count = vector_register_count(cpu);
    if (components & area::x87) {
        area::put_x87(image.bytes(), cpu.fp, pointer_format(insn));
        image.add(area::x87_control);
        image.add(area::x87_registers);
    }
    if (components & area::sse) {
        area::put_lanes(image.bytes() + area::xmm_registers.offset, cpu.fp, 0, count);
        image.add(present_registers(cpu, area::xmm_registers));
    }
    if (components & area::avx) {
        area::put_lanes(image.bytes() + area::ymm_high_halves.offset, cpu.fp, 2, count);
        image.add(present_registers(cpu, area::ymm_high_halves));
    }
}

void add_mxcsr(const Cpu& cpu, SaveArea& image) {
    put_mxcsr(image, cpu);
    image.add(area::mxcsr_and_mask);
}

// XSAVE and XSAVEOPT: components not asked for keep their bits in XSTATE_BV.
void save_standard(Cpu& cpu, const Insn& insn, SaveArea& image, std::uint64_t mask, bool optimized) {
    const std::uint64_t used = in_use(cpu.fp) & mask;
    add_components(cpu, insn, image, optimized ? used : mask);
    if (mask & (area::sse | area::avx)) {
        add_mxcsr(cpu, image);
    }
    image.probe(area::xstate_bv);
    image.read(area::xstate_bv);
    std::uint8_t* header = image.bytes() + area::xstate_bv.offset;
    store_le(header, (load_le<std::uint64_t>(header) & ~mask) | used);
    image.add(area::xstate_bv);
}

// XSAVEC and XSAVES: MXCSR belongs to the SSE component.
void save_compacted(Cpu& cpu, const Insn& insn, SaveArea& image, std::uint64_t mask) {
    std::uint64_t saved = in_use(cpu.fp) & mask;
    if (cpu.mxcsr() != x86::mxcsr::reset_value) {
        saved |= mask & area::sse;
    }
    add_components(cpu, insn, image, saved);
    if (saved & area::sse) {
        add_mxcsr(cpu, image);
    }
    store_le(image.bytes() + area::xstate_bv.offset, saved);
    store_le(image.bytes() + area::xcomp_bv.offset, mask | area::compacted);
    image.add({area::xstate_bv.offset, area::xstate_bv.size + area::xcomp_bv.size});
}

template <Save kind>
void save(Cpu& cpu, const Insn& insn) {
    require_xsave(cpu);
    if (kind == Save::supervisor) {
        require_supervisor(cpu);
    }
    SaveArea image(cpu, insn, alignment);
    const std::uint64_t mask = requested(cpu, kind == Save::supervisor);
    if (kind == Save::standard || kind == Save::optimized) {
        save_standard(cpu, insn, image, mask, kind == Save::optimized);
    } else {
        save_compacted(cpu, insn, image, mask);
    }
    image.commit();
}

// ---- restoring ----

struct Header {
    std::uint64_t present; // XSTATE_BV
    bool compacted;
};

// #GP(0) for a header that no XSAVE of this processor writes.
template <Restore kind>
Header checked_header(Cpu& cpu, SaveArea& image) {
    image.read(area::header);
    const auto present = load_le<std::uint64_t>(image.bytes() + area::xstate_bv.offset);
    const auto layout = load_le<std::uint64_t>(image.bytes() + area::xcomp_bv.offset);
    const bool compacted = layout & area::compacted;
    const std::uint64_t enabled = cpu.system.xcr0 | (kind == Restore::supervisor ? cpu.system.xss : 0);
    // The standard format has XCOMP_BV and the quadword behind it zero, the compacted one all that is
    // reserved.
    const std::span reserved(image.bytes() + area::header_reserved.offset,
                             compacted ? area::header_reserved.size : sizeof(std::uint64_t));
    const bool reserved_is_zero = std::ranges::all_of(reserved, [](std::uint8_t byte) { return byte == 0; });
    const bool layout_is_valid = compacted
                                     ? cpu.model().has(x86::Feature::xsavec) &&
                                           !(layout & ~area::compacted & ~enabled) && !(present & ~layout)
                                     : kind == Restore::user && layout == 0 && !(present & ~enabled);
    if (!reserved_is_zero || !layout_is_valid) {
        cpu.raise_gp();
    }
    return {present, compacted};
}

void read_components(const Cpu& cpu, SaveArea& image, std::uint64_t components) {
    if (components & area::x87) {
        image.read(area::x87_control);
        image.read(area::x87_registers);
    }
    if (components & area::sse) {
        image.read(present_registers(cpu, area::xmm_registers));
    }
    if (components & area::avx) {
        image.read(present_registers(cpu, area::ymm_high_halves));
    }
}

void reset_x87(x86::FpState& fp) {
    x86::initialize_x87(fp);
    fp.physical.fill({});
}

// Loads what the area has, initializes what it lacks.
void apply_components(Cpu& cpu, const Insn& insn, SaveArea& image, std::uint64_t mask,
                      std::uint64_t present) {
    const unsigned count = vector_register_count(cpu);
    x86::FpState& fp = cpu.fp;
    if (mask & area::x87) {
        (present & area::x87) ? area::take_x87(image.bytes(), fp, pointer_format(insn)) : reset_x87(fp);
    }
    constexpr std::array<std::uint8_t, area::xmm_registers.size> zeros{};
    if (mask & area::sse) {
        area::take_lanes(present & area::sse ? image.bytes() + area::xmm_registers.offset : zeros.data(), fp,
                         0, count);
    }
    if (mask & area::avx) {
        area::take_lanes(present & area::avx ? image.bytes() + area::ymm_high_halves.offset : zeros.data(),
                         fp, 2, count);
    }
}

template <Restore kind>
void restore(Cpu& cpu, const Insn& insn) {
    require_xsave(cpu);
    if (kind == Restore::supervisor) {
        require_supervisor(cpu);
    }
    SaveArea image(cpu, insn, alignment);
    const Header header = checked_header<kind>(cpu, image);
    const std::uint64_t mask = requested(cpu, kind == Restore::supervisor);
    const std::uint64_t restored = mask & header.present;
    read_components(cpu, image, restored);
    // In the standard format MXCSR is always there; in the compacted one it comes, or is initialized, with
    // SSE.
    const bool reads_mxcsr = header.compacted ? restored & area::sse : mask & (area::sse | area::avx);
    std::uint32_t mxcsr = x86::mxcsr::reset_value;
    if (reads_mxcsr) {
        image.read(area::mxcsr_and_mask);
        mxcsr = checked_mxcsr(cpu, image);
    }
    if (reads_mxcsr || (mask & area::sse)) {
        cpu.set_mxcsr(mxcsr);
    }
    apply_components(cpu, insn, image, mask, header.present);
}

template <Handler handler>
Handler select(const Decoded&, Insn&) {
    return handler;
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_XSAVE, select<&save<Save::standard>>},
    {ZYDIS_MNEMONIC_XSAVE64, select<&save<Save::standard>>},
    {ZYDIS_MNEMONIC_XSAVEOPT, select<&save<Save::optimized>>},
    {ZYDIS_MNEMONIC_XSAVEOPT64, select<&save<Save::optimized>>},
    {ZYDIS_MNEMONIC_XSAVEC, select<&save<Save::compacted>>},
    {ZYDIS_MNEMONIC_XSAVEC64, select<&save<Save::compacted>>},
    {ZYDIS_MNEMONIC_XSAVES, select<&save<Save::supervisor>>},
    {ZYDIS_MNEMONIC_XSAVES64, select<&save<Save::supervisor>>},
    {ZYDIS_MNEMONIC_XRSTOR, select<&restore<Restore::user>>},
    {ZYDIS_MNEMONIC_XRSTOR64, select<&restore<Restore::user>>},
    {ZYDIS_MNEMONIC_XRSTORS, select<&restore<Restore::supervisor>>},
    {ZYDIS_MNEMONIC_XRSTORS64, select<&restore<Restore::supervisor>>},
};

} // namespace

Rows xsave_rows() { return rows; }

} // namespace strata::cpu::interpreter
