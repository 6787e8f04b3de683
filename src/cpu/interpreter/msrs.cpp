#include "cpu/interpreter/msrs.hpp"

#include "base/bits.hpp"
#include "cpu/interpreter/control_registers.hpp"

#include <algorithm>
#include <iterator>

namespace strata::cpu::interpreter {
namespace {

using x86::Feature;
using x86::SystemState;

// A register: which numbers it has (an array of them counts up from `first`), what it needs, how it is read
// and written. `offset` is the number's distance from `first`. A write function may be null: read-only.
struct Msr {
    std::uint32_t first, count;
    Feature feature;
    std::uint64_t (*read)(Cpu& cpu, std::uint32_t offset);
    void (*write)(Cpu& cpu, std::uint32_t offset, std::uint64_t value);
};

// ---- shapes of registers ----

template <auto field>
std::uint64_t read_field(Cpu& cpu, std::uint32_t) {
    return cpu.system.*field;
}

// #GP for any bit outside `allowed`.
template <auto field, std::uint64_t allowed>
void write_bits(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    if ((value & ~allowed) != 0) {
        cpu.raise_gp(0);
    }
    cpu.system.*field = value;
}

template <auto field>
void write_address(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    if (!cpu.canonical(value)) {
        cpu.raise_gp(0);
    }
    cpu.system.*field = value;
}

template <auto field>
std::uint64_t read_element(Cpu& cpu, std::uint32_t offset) {
    return (cpu.system.*field)[offset];
}

template <unsigned segment>
std::uint64_t read_segment_base(Cpu& cpu, std::uint32_t) {
    return cpu.system.segments[segment].base;
}

template <unsigned segment>
void write_segment_base(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    if (!cpu.canonical(value)) {
        cpu.raise_gp(0);
    }
    cpu.system.segments[segment].base = value;
}

template <std::uint64_t value>
std::uint64_t read_constant(Cpu&, std::uint32_t) {
    return value;
}

void ignore_write(Cpu&, std::uint32_t, std::uint64_t) {}

constexpr std::uint64_t any = ~std::uint64_t{0}, low_half = 0xFFFF'FFFF;

template <auto field, std::uint64_t allowed = any>
constexpr Msr plain(std::uint32_t index, Feature feature) {
    return {index, 1, feature, read_field<field>, write_bits<field, allowed>};
}

template <auto field>
constexpr Msr address(std::uint32_t index, Feature feature) {
    return {index, 1, feature, read_field<field>, write_address<field>};
}

template <std::uint64_t value>
constexpr Msr constant(std::uint32_t index, Feature feature) {
    return {index, 1, feature, read_constant<value>, nullptr};
}

// ---- registers with a behaviour of their own ----

std::uint64_t read_tsc(Cpu& cpu, std::uint32_t) { return cpu.tsc(); }

// SDM volume 3 section 17.17.3: a write to either register moves the other along.
void move_tsc(Cpu& cpu, std::uint64_t by) {
    cpu.system.tsc_offset += static_cast<std::int64_t>(by);
    cpu.system.tsc_adjust += by;
}

void write_tsc(Cpu& cpu, std::uint32_t, std::uint64_t value) { move_tsc(cpu, value - cpu.tsc()); }

void write_tsc_adjust(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    move_tsc(cpu, value - cpu.system.tsc_adjust);
}

void write_efer(Cpu& cpu, std::uint32_t, std::uint64_t value) { set_efer(cpu, value); }

bool is_memory_type(std::uint64_t type, bool pat) {
    return type <= 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

bool are_memory_types(std::uint64_t value, bool pat) {
    for (unsigned i = 0; i < 8; ++i) {
        if (!is_memory_type((value >> (8 * i)) & 0xFF, pat)) {
            return false;
        }
    }
    return true;
}

void write_pat(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    if (!are_memory_types(value, true)) {
        cpu.raise_gp(0);
    }
    cpu.system.pat = value;
}

// The fixed-range registers by their place in SystemState::mtrr_fixed: 250H, 258H, 259H, 268H to 26FH.
std::uint32_t fixed_mtrr_index(std::uint32_t msr) {
    return msr == 0x250 ? 0 : msr < 0x260 ? msr - 0x258 + 1 : msr - 0x268 + 3;
}

template <std::uint32_t first>
std::uint64_t read_fixed_mtrr(Cpu& cpu, std::uint32_t offset) {
    return cpu.system.mtrr_fixed[fixed_mtrr_index(first + offset)];
}

template <std::uint32_t first>
void write_fixed_mtrr(Cpu& cpu, std::uint32_t offset, std::uint64_t value) {
    if (!are_memory_types(value, false)) {
        cpu.raise_gp(0);
    }
    cpu.system.mtrr_fixed[fixed_mtrr_index(first + offset)] = value;
}

template <std::uint32_t first, std::uint32_t count>
constexpr Msr fixed_mtrrs() {
    return {first, count, Feature::mtrr, read_fixed_mtrr<first>, write_fixed_mtrr<first>};
}

void write_variable_mtrr(Cpu& cpu, std::uint32_t offset, std::uint64_t value) {
    const std::uint64_t beyond = ~std::uint64_t{0} << cpu.model().physical_address_bits;
    const bool is_mask = (offset & 1) != 0;
    const std::uint64_t reserved = beyond | (is_mask ? 0x7FF : 0xF00);
    if ((value & reserved) != 0 || (!is_mask && !is_memory_type(value & 0xFF, false))) {
        cpu.raise_gp(0);
    }
    cpu.system.mtrr_variable[offset] = value;
}

void write_mtrr_default(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    constexpr std::uint64_t allowed = 0xCFF; // enable, fixed-range enable, type
    if ((value & ~allowed) != 0 || !is_memory_type(value & 0xFF, false)) {
        cpu.raise_gp(0);
    }
    cpu.system.mtrr_def_type = value;
}

void write_xss(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    if (value != 0) {
        cpu.raise_gp(0); // no supervisor state exists
    }
}

// IBRS and, where there is BHI_CTRL, BHI_DIS_S: nothing is predicted that they would change.
void write_speculation_control(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    const std::uint64_t bhi_dis_s = cpu.model().has(Feature::bhi_ctrl) ? bit(10) : 0;
    if ((value & ~(bit(0) | bhi_dis_s)) != 0) {
        cpu.raise_gp(0);
    }
    cpu.system.spec_ctrl = value;
}

// IBPB (and, with SSBD, nothing else): there are no predictions to forget.
void write_prediction_command(Cpu& cpu, std::uint32_t, std::uint64_t value) {
    if ((value & ~std::uint64_t{1}) != 0) {
        cpu.raise_gp(0);
    }
}

std::uint64_t read_nothing(Cpu&, std::uint32_t) { return 0; }

// What an interpreter need not fear, as SDM volume 4 numbers it: it speculates on nothing.
constexpr std::uint64_t arch_capabilities =
    bit(0) /* RDCL_NO */ | bit(1) /* IBRS_ALL */ | bit(3) /* SKIP_L1DFL_VMENTRY */ | bit(4) /* SSB_NO */ |
    bit(5) /* MDS_NO */ | bit(6) /* IF_PSCHANGE_MC_NO */ | bit(8) /* TAA_NO */ | bit(13) /* SBDR_SSDP_NO */ |
    bit(14) /* FBSDP_NO */ | bit(15) /* PSDP_NO */ | bit(20) /* BHI_NO */ | bit(24) /* PBRSB_NO */ |
    bit(26) /* GDS_NO */ | bit(27) /* RFDS_NO */ | bit(62) /* ITS_NO */;

constexpr std::uint64_t variable_mtrr_pairs = std::tuple_size_v<decltype(SystemState::mtrr_variable)> / 2;
constexpr std::uint64_t mtrr_capabilities =
    variable_mtrr_pairs | bit(8) /* fixed ranges */ | bit(10) /* WC */;
constexpr std::uint64_t microcode_revision = bit(32);
constexpr std::uint64_t feature_control_locked = 1; // and nothing enabled: no VMX

using S = SystemState;

// In the order of their numbers.
constexpr Msr msrs[] = {
    {0x0, 2, Feature::mce, read_nothing, ignore_write}, // P5_MC_ADDR, P5_MC_TYPE
    {0x10, 1, Feature::tsc, read_tsc, write_tsc},
    constant<0>(0x17, Feature::mca), // PLATFORM_ID
    constant<feature_control_locked>(0x3A, Feature::lm),
    {0x3B, 1, Feature::tsc_adjust, read_field<&S::tsc_adjust>, write_tsc_adjust},
    {0x48, 1, Feature::spec_ctrl, read_field<&S::spec_ctrl>, write_speculation_control},
    {0x49, 1, Feature::spec_ctrl, read_nothing, write_prediction_command},
    {0x79, 1, Feature::mca, read_nothing, ignore_write}, // BIOS_UPDT_TRIG
    {0x8B, 1, Feature::mca, read_constant<microcode_revision>, ignore_write},
    constant<mtrr_capabilities>(0xFE, Feature::mtrr),
    constant<arch_capabilities>(0x10A, Feature::arch_capabilities),
    plain<&S::sysenter_cs, low_half>(0x174, Feature::sep),
    address<&S::sysenter_esp>(0x175, Feature::sep),
    address<&S::sysenter_eip>(0x176, Feature::sep),
    constant<0>(0x179, Feature::mca), // MCG_CAP: no banks
    plain<&S::mcg_status, 7>(0x17A, Feature::mca),
    plain<&S::misc_enable>(0x1A0, Feature::lm),
    plain<&S::debug_ctl, 0x7FC3>(0x1D9, Feature::pge),
    {0x200, 2 * variable_mtrr_pairs, Feature::mtrr, read_element<&S::mtrr_variable>, write_variable_mtrr},
    fixed_mtrrs<0x250, 1>(),
    fixed_mtrrs<0x258, 2>(),
    fixed_mtrrs<0x268, 8>(),
    {0x277, 1, Feature::pat, read_field<&S::pat>, write_pat},
    {0x2FF, 1, Feature::mtrr, read_field<&S::mtrr_def_type>, write_mtrr_default},
    {0xDA0, 1, Feature::xsaves, read_field<&S::xss>, write_xss},
    {0xC000'0080, 1, Feature::syscall, read_field<&S::efer>, write_efer},
    plain<&S::star>(0xC000'0081, Feature::syscall),
    address<&S::lstar>(0xC000'0082, Feature::syscall), // on the K6: WHCR
    address<&S::cstar>(0xC000'0083, Feature::lm),
    plain<&S::fmask, low_half>(0xC000'0084, Feature::lm),
    {0xC000'0100, 1, Feature::lm, read_segment_base<x86::fs>, write_segment_base<x86::fs>},
    {0xC000'0101, 1, Feature::lm, read_segment_base<x86::gs>, write_segment_base<x86::gs>},
    address<&S::kernel_gs_base>(0xC000'0102, Feature::lm),
    plain<&S::tsc_aux, low_half>(0xC000'0103, Feature::rdtscp),
};

const Msr* find(const Cpu& cpu, std::uint32_t index) {
    const auto after = std::ranges::upper_bound(msrs, index, {}, &Msr::first);
    if (after == std::begin(msrs)) {
        return nullptr;
    }
    const Msr& msr = *std::prev(after);
    return index - msr.first < msr.count && cpu.model().has(msr.feature) ? &msr : nullptr;
}

// The deadline is compared with the guest's TSC, the bus reckons in ticks of the machine's clock.
constexpr std::uint32_t tsc_deadline = 0x6E0;

std::uint64_t deadline_offset(const Cpu& cpu, std::uint32_t index, std::uint64_t value) {
    return index == tsc_deadline && value != 0 ? static_cast<std::uint64_t>(cpu.system.tsc_offset) : 0;
}

} // namespace

std::uint64_t read_msr(Cpu& cpu, std::uint32_t index) {
    if (const Msr* msr = find(cpu, index)) {
        return msr->read(cpu, index - msr->first);
    }
    const auto value = cpu.bus().read_msr(index);
    if (!value) {
        cpu.raise_gp(0);
    }
    return *value + deadline_offset(cpu, index, *value);
}

void write_msr(Cpu& cpu, std::uint32_t index, std::uint64_t value) {
    if (const Msr* msr = find(cpu, index)) {
        if (msr->write == nullptr) {
            cpu.raise_gp(0);
        }
        msr->write(cpu, index - msr->first, value);
    } else if (!cpu.bus().write_msr(index, value - deadline_offset(cpu, index, value))) {
        cpu.raise_gp(0);
    }
}

} // namespace strata::cpu::interpreter
