// HLT, cache and TLB control, CLAC and STAC. SDM volume 2.
#include "base/bits.hpp"
#include "cpu/interpreter/system_rows.hpp"

namespace strata::cpu::interpreter {
namespace {

void halt(Cpu& cpu, const Insn&) {
    require_cpl0(cpu);
    cpu.activity = x86::Activity::halted;
    cpu.end_block();
}

// ---- caches: guest memory has none that software could see ----

void invalidate_caches(Cpu& cpu, const Insn&) { require_cpl0(cpu); }

// ---- TLB ----

void invalidate_page(Cpu& cpu, const Insn& insn) {
    require_cpl0(cpu);
    const std::uint64_t offset = cpu.effective_address(insn);
    const bool flat = cpu.code64() && insn.segment < x86::fs;
    const std::uint64_t linear = flat ? offset : cpu.system.segments[insn.segment].base + offset;
    cpu.invalidate_page(cpu.code64() ? linear : static_cast<std::uint32_t>(linear));
}

// SDM volume 2, INVPCID: the types of invalidation.
enum class InvpcidType : std::uint64_t { address = 0, context = 1, all = 2, all_but_global = 3 };

template <class T>
void invalidate_pcid(Cpu& cpu, const Insn& insn) {
    require_cpl0(cpu); // it is 3 in virtual-8086 mode
    const std::uint64_t type = cpu.reg<T>(insn.reg);
    const std::uint64_t address = cpu.effective_address(insn);
    const auto pcid = cpu.load<std::uint64_t>(insn.segment, address);
    const auto linear = cpu.load<std::uint64_t>(insn.segment, next_offset(insn, address, 8));
    const bool pcids_exist = (cpu.system.cr4 & x86::cr4::pcide) != 0;
    const bool named = type == static_cast<std::uint64_t>(InvpcidType::address) ||
                       type == static_cast<std::uint64_t>(InvpcidType::context);
    if (type > 3 || pcid >> 12 != 0 || (named && !pcids_exist && pcid != 0) ||
        (type == static_cast<std::uint64_t>(InvpcidType::address) && !cpu.canonical(linear))) {
        cpu.raise_gp(0);
    }
    switch (static_cast<InvpcidType>(type)) {
    case InvpcidType::address:
        pcid == cpu.pcid() ? cpu.invalidate_page(linear) : cpu.invalidate_pcid(pcid);
        break;
    case InvpcidType::context: cpu.invalidate_pcid(pcid); break;
    case InvpcidType::all: cpu.flush_tlb(true); break;
    case InvpcidType::all_but_global: cpu.invalidate_all_but_global(); break;
    }
}

Handler select_invalidate_pcid(const Decoded& decoded, Insn&) {
    return decoded.long_mode ? invalidate_pcid<std::uint64_t> : invalidate_pcid<std::uint32_t>;
}

// ---- SMAP's switch ----

template <bool allow>
void set_access_control(Cpu& cpu, const Insn&) {
    if (cpu.cpl() != 0) {
        cpu.raise_ud();
    }
    const std::uint64_t flags = cpu.rflags();
    cpu.set_rflags(allow ? flags | x86::flag::ac : flags & ~x86::flag::ac);
}

constexpr Row rows[] = {
    {ZYDIS_MNEMONIC_HLT, select_always<halt>},
    {ZYDIS_MNEMONIC_INVD, select_always<invalidate_caches>},
    {ZYDIS_MNEMONIC_WBINVD, select_always<invalidate_caches>},
    {ZYDIS_MNEMONIC_INVLPG, select_always<invalidate_page>},
    {ZYDIS_MNEMONIC_INVPCID, select_invalidate_pcid},
    {ZYDIS_MNEMONIC_CLAC, select_always<set_access_control<false>>},
    {ZYDIS_MNEMONIC_STAC, select_always<set_access_control<true>>},
};

} // namespace

Rows system_rows() { return rows; }

} // namespace strata::cpu::interpreter
