#include "cpu/interpreter/control_registers.hpp"

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "cpu/interpreter/shared.hpp"

#include <array>

namespace strata::cpu::interpreter {
namespace {

using x86::Feature;

namespace cr0 = x86::cr0;
namespace cr4 = x86::cr4;
namespace efer = x86::efer;

struct FeatureBits {
    std::uint64_t bits;
    Feature feature;
};

constexpr std::array cr4_features{
    FeatureBits{cr4::vme | cr4::pvi, Feature::vme},
    FeatureBits{cr4::tsd, Feature::tsc},
    FeatureBits{cr4::de, Feature::de},
    FeatureBits{cr4::pse, Feature::pse},
    FeatureBits{cr4::pae, Feature::pae},
    FeatureBits{cr4::mce, Feature::mce},
    FeatureBits{cr4::pge, Feature::pge},
    FeatureBits{cr4::pce, Feature::mmx},
    FeatureBits{cr4::osfxsr, Feature::fxsr},
    FeatureBits{cr4::osxmmexcpt, Feature::sse},
    FeatureBits{cr4::umip, Feature::umip},
    FeatureBits{cr4::fsgsbase, Feature::fsgsbase},
    FeatureBits{cr4::pcide, Feature::pcid},
    FeatureBits{cr4::osxsave, Feature::xsave},
    FeatureBits{cr4::smep, Feature::smep},
    FeatureBits{cr4::smap, Feature::smap},
};

constexpr std::array efer_features{
    FeatureBits{efer::sce, Feature::syscall},
    FeatureBits{efer::lme | efer::lma, Feature::lm},
    FeatureBits{efer::nxe, Feature::nx},
    FeatureBits{efer::ffxsr, Feature::fxsr_opt},
};

template <std::size_t count>
std::uint64_t allowed_bits(const Cpu& cpu, const std::array<FeatureBits, count>& table) {
    std::uint64_t allowed = 0;
    for (const FeatureBits& entry : table) {
        allowed |= cpu.model().has(entry.feature) ? entry.bits : 0;
    }
    return allowed;
}

std::uint64_t cr0_bits(const Cpu& cpu) {
    constexpr std::uint64_t i386 = cr0::pe | cr0::mp | cr0::em | cr0::ts | cr0::pg;
    constexpr std::uint64_t i486 = cr0::ne | cr0::wp | cr0::am | cr0::nw | cr0::cd;
    return i386 | (cpu.model().has(Feature::i486) ? i486 : 0);
}

bool uses_pdptes(std::uint64_t cr0_value, std::uint64_t cr4_value, std::uint64_t efer_value) {
    return (cr0_value & cr0::pg) != 0 && (cr4_value & cr4::pae) != 0 && (efer_value & efer::lma) == 0;
}

// PAE paging reads its four top entries when CR3 is loaded: #GP if a present one has reserved bits set.
void check_pdptes(Cpu& cpu, std::uint64_t cr3) {
    constexpr std::uint64_t table_mask = 0xFFFF'FFE0, low_reserved = 0x1E6;
    const std::uint64_t reserved = low_reserved | (~std::uint64_t{0} << cpu.model().physical_address_bits);
    std::array<std::byte, 32> table{};
    if (!cpu.shared().memory().read(cr3 & table_mask, table.data(), table.size())) {
        return;
    }
    for (std::size_t i = 0; i < 4; ++i) {
        const auto entry = load_le<std::uint64_t>(table.data() + i * 8);
        if ((entry & x86::pte::present) != 0 && (entry & reserved) != 0) {
            cpu.raise_gp(0);
        }
    }
}

// EFER.LMA after CR0.PG was set or cleared.
std::uint64_t efer_with_paging(Cpu& cpu, bool paging) {
    const std::uint64_t old = cpu.system.efer;
    if (!paging) {
        return old & ~efer::lma;
    }
    if ((old & efer::lme) == 0) {
        return old;
    }
    const bool code_is_64bit = cpu.system.segments[x86::cs].long_mode();
    if ((cpu.system.cr4 & cr4::pae) == 0 || code_is_64bit) {
        cpu.raise_gp(0);
    }
    return old | efer::lma;
}

void check_cr0(Cpu& cpu, std::uint64_t value) {
    const bool paging = (value & cr0::pg) != 0, protection = (value & cr0::pe) != 0;
    const bool cache_conflict = (value & cr0::nw) != 0 && (value & cr0::cd) == 0;
    const bool leaves_paging = !paging && (cpu.system.cr0 & cr0::pg) != 0;
    const bool must_page = cpu.code64() || (cpu.system.cr4 & cr4::pcide) != 0;
    if (value >> 32 != 0 || (paging && !protection) || cache_conflict || (leaves_paging && must_page)) {
        cpu.raise_gp(0);
    }
}

} // namespace

void set_cr0(Cpu& cpu, std::uint64_t value) {
    check_cr0(cpu, value);
    value = (value & cr0_bits(cpu)) | cr0::et;
    const std::uint64_t changed = value ^ cpu.system.cr0;
    const std::uint64_t new_efer =
        (changed & cr0::pg) != 0 ? efer_with_paging(cpu, (value & cr0::pg) != 0) : cpu.system.efer;
    if ((changed & (cr0::pg | cr0::cd | cr0::nw)) != 0 && uses_pdptes(value, cpu.system.cr4, new_efer)) {
        check_pdptes(cpu, cpu.system.cr3);
    }
    cpu.system.cr0 = value;
    cpu.system.efer = new_efer;
    cpu.mode_changed();
}

void set_cr3(Cpu& cpu, std::uint64_t value) {
    constexpr std::uint64_t keep_translations = std::uint64_t{1} << 63;
    const bool pcids = (cpu.system.cr4 & cr4::pcide) != 0;
    const bool keep = pcids && (value & keep_translations) != 0;
    if (pcids) {
        value &= ~keep_translations;
    }
    if (cpu.long_mode() && value >> cpu.model().physical_address_bits != 0) {
        cpu.raise_gp(0);
    }
    if (uses_pdptes(cpu.system.cr0, cpu.system.cr4, cpu.system.efer)) {
        check_pdptes(cpu, value);
    }
    cpu.load_cr3(value, keep);
}

void set_cr4(Cpu& cpu, std::uint64_t value) {
    const std::uint64_t old = cpu.system.cr4;
    const bool clears_pae_in_long_mode = cpu.long_mode() && (value & cr4::pae) == 0;
    const bool sets_pcide = (value & ~old & cr4::pcide) != 0;
    const bool pcide_impossible = !cpu.long_mode() || (cpu.system.cr3 & 0xFFF) != 0;
    if ((value & ~allowed_bits(cpu, cr4_features)) != 0 || clears_pae_in_long_mode ||
        (sets_pcide && pcide_impossible)) {
        cpu.raise_gp(0);
    }
    constexpr std::uint64_t reload = cr4::pae | cr4::pge | cr4::pse | cr4::smep;
    if (((value ^ old) & reload) != 0 && uses_pdptes(cpu.system.cr0, value, cpu.system.efer)) {
        check_pdptes(cpu, cpu.system.cr3);
    }
    cpu.system.cr4 = value;
    cpu.mode_changed();
}

void set_efer(Cpu& cpu, std::uint64_t value) {
    const std::uint64_t old = cpu.system.efer;
    const bool changes_lme_while_paging = ((value ^ old) & efer::lme) != 0 && (cpu.system.cr0 & cr0::pg) != 0;
    if ((value & ~allowed_bits(cpu, efer_features)) != 0 || changes_lme_while_paging) {
        cpu.raise_gp(0);
    }
    cpu.system.efer = (value & ~efer::lma) | (old & efer::lma);
    cpu.mode_changed();
}

} // namespace strata::cpu::interpreter
