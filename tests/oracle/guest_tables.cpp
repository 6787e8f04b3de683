#include "guest_tables.hpp"

#include "base/bytes.hpp"
#include "cpu/x86/registers.hpp"

#include <cstring>

namespace strata::oracle {

namespace x86 = cpu::x86;

namespace {

// Physical addresses.
constexpr std::uint64_t pml4 = 0x1000, low_pdpt = 0x2000, low_pd = 0x3000, arena_pt = 0x4000,
                        high_pdpt = 0x5000, high_pd = 0x6000, gdt = 0x7000, ldt = 0x7800, idt = 0x8000,
                        tss = 0x9000, stubs = 0xA000, stack_top = 0xE000;

constexpr std::uint16_t kernel_code = 0x10, kernel_data = 0x18, tss_selector = 0x40, ldt_selector = 0x50;
constexpr std::uint16_t gdt_limit = 0x7F, ldt_limit = local_segments * 8 - 1, tss_limit = 0x67;

constexpr std::uint16_t type_data = 0x13, type_code = 0x1B; // writable, readable, accessed, S
constexpr std::uint16_t type_ldt = 0x02, type_tss = 0x0B, type_interrupt_gate = 0x0E;
constexpr std::uint16_t dpl3 = 3 << 5, present = 1 << 7, attribute_l = 1 << 13, attribute_db = 1 << 14,
                        attribute_g = 1 << 15;

std::uint64_t linear(std::uint64_t physical) { return supervisor_base + physical; }

// A code, data or system descriptor's eight bytes. SDM volume 3 section 3.4.5. `limit` as encoded.
std::uint64_t descriptor(std::uint64_t base, std::uint32_t limit, std::uint16_t attributes) {
    return (limit & 0xFFFF) | (base & 0xFF'FFFF) << 16 | std::uint64_t{attributes & 0xFFU} << 40 |
           std::uint64_t{(limit >> 16) & 0xF} << 48 | std::uint64_t{(attributes >> 12) & 0xFU} << 52 |
           ((base >> 24) & 0xFF) << 56;
}

std::uint16_t attributes_of(const LocalSegment& segment) {
    unsigned type = 0x11; // S, accessed
    switch (segment.kind) {
    case LocalSegment::data: break;
    case LocalSegment::expand_down: type |= 4; break;
    case LocalSegment::code: type |= 8; break;
    case LocalSegment::conforming: type |= 12; break;
    }
    return static_cast<std::uint16_t>(type | (segment.restricted ? 0U : 2U) | dpl3 |
                                      (segment.present ? present : 0U) | (segment.big ? attribute_db : 0U) |
                                      (segment.pages ? attribute_g : 0U));
}

void put(std::byte* host, std::uint64_t physical, std::uint64_t value) { store_le(host + physical, value); }

void write_paging(std::byte* host) {
    constexpr std::uint64_t table = x86::pte::present | x86::pte::writable | x86::pte::user;
    put(host, pml4, low_pdpt | table);
    put(host, low_pdpt, low_pd | table);
    put(host, low_pd + (arena >> 21) * 8, arena_pt | table);
    for (std::uint64_t i = 0; i < arena_pages; ++i) {
        if (rights[i] != Rights::none) {
            put(host, arena_pt + i * 8,
                (arena_physical + i * page) | x86::pte::present | x86::pte::user | x86::pte::accessed |
                    x86::pte::dirty | (writable(rights[i]) ? x86::pte::writable : 0) |
                    (executable(rights[i]) ? 0 : x86::pte::no_execute));
        }
    }
    constexpr std::uint64_t supervisor_index = (supervisor_base >> 39) & 0x1FF;
    put(host, pml4 + supervisor_index * 8, high_pdpt | x86::pte::present | x86::pte::writable);
    put(host, high_pdpt, high_pd | x86::pte::present | x86::pte::writable);
    put(host, high_pd, x86::pte::present | x86::pte::writable | x86::pte::large);
}

void write_segments(std::byte* host) {
    constexpr std::uint16_t flat = present | attribute_g;
    put(host, gdt + kernel_code, descriptor(0, 0xF'FFFF, type_code | flat | attribute_l));
    put(host, gdt + kernel_data, descriptor(0, 0xF'FFFF, type_data | flat | attribute_db));
    put(host, gdt + (flat_data & ~7), descriptor(0, 0xF'FFFF, type_data | flat | dpl3 | attribute_db));
    put(host, gdt + (flat_code64 & ~7), descriptor(0, 0xF'FFFF, type_code | flat | dpl3 | attribute_l));
    put(host, gdt + tss_selector, descriptor(linear(tss), tss_limit, type_tss | present));
    put(host, gdt + tss_selector + 8, linear(tss) >> 32);
    put(host, gdt + ldt_selector, descriptor(linear(ldt), ldt_limit, type_ldt | present));
    put(host, gdt + ldt_selector + 8, linear(ldt) >> 32);
    for (unsigned i = 0; i < local_segments; ++i) {
        put(host, ldt + i * 8,
            descriptor(local_table[i].base, local_table[i].limit, attributes_of(local_table[i])));
    }
}

void write_interrupts(std::byte* host) {
    for (unsigned vector = 0; vector < handlers; ++vector) {
        constexpr std::byte hlt{0xF4};
        const std::uint64_t stub = stubs + vector * handler_stride;
        host[stub] = hlt;
        // As in Linux, user code may reach the gates of INT3 and INTO alone.
        const bool user = vector == 3 || vector == 4;
        const std::uint64_t target = linear(stub);
        put(host, idt + vector * 16,
            (target & 0xFFFF) | std::uint64_t{kernel_code} << 16 |
                std::uint64_t{type_interrupt_gate | present | (user ? dpl3 : 0U)} << 40 |
                ((target >> 16) & 0xFFFF) << 48);
        put(host, idt + vector * 16 + 8, target >> 32);
    }
    constexpr std::uint64_t tss_rsp0 = 4;
    put(host, tss + tss_rsp0, linear(stack_top));
    // No I/O permission map: its base lies beyond the limit.
    store_le<std::uint16_t>(host + tss + 102, tss_limit + 1);
}

x86::Segment segment_of(std::uint16_t selector, std::uint64_t base, std::uint32_t limit,
                        std::uint16_t attributes) {
    const std::uint32_t bytes = attributes & attribute_g ? (limit << 12 | 0xFFF) : limit;
    return {.selector = selector, .base = base, .limit = bytes, .attributes = attributes, .unusable = false};
}

} // namespace

void write_guest_tables(std::byte* host) {
    write_paging(host);
    write_segments(host);
    write_interrupts(host);
}

x86::Segment guest_segment(std::uint16_t selector) {
    constexpr std::uint16_t flat = present | attribute_g | dpl3;
    if (selector < 4) {
        return {.selector = selector, .base = 0, .limit = 0, .attributes = 0, .unusable = true};
    }
    if (selector & 4) {
        const LocalSegment& segment = local_table[selector >> 3];
        return segment_of(selector, segment.base, segment.limit, attributes_of(segment));
    }
    return selector == flat_code64 ? segment_of(selector, 0, 0xF'FFFF, type_code | flat | attribute_l)
                                   : segment_of(selector, 0, 0xF'FFFF, type_data | flat | attribute_db);
}

x86::SystemState guest_system_state() {
    x86::SystemState state{};
    state.cr0 = x86::cr0::pe | x86::cr0::mp | x86::cr0::et | x86::cr0::ne | x86::cr0::wp | x86::cr0::am |
                x86::cr0::pg;
    state.cr3 = pml4;
    state.cr4 = x86::cr4::pae | x86::cr4::pge | x86::cr4::osfxsr | x86::cr4::osxmmexcpt | x86::cr4::osxsave;
    state.efer = x86::efer::sce | x86::efer::lme | x86::efer::lma | x86::efer::nxe;
    state.xcr0 = 7;
    state.gdtr = {linear(gdt), gdt_limit};
    state.idtr = {linear(idt), handlers * 16 - 1};
    state.ldtr = segment_of(ldt_selector, linear(ldt), ldt_limit, type_ldt | present);
    state.tr = segment_of(tss_selector, linear(tss), tss_limit, type_tss | present);
    return state;
}

int halted_vector(std::uint64_t rip) {
    const std::uint64_t offset = rip - 1 - linear(stubs);
    return offset < handlers * handler_stride && offset % handler_stride == 0
               ? static_cast<int>(offset / handler_stride)
               : -1;
}

} // namespace strata::oracle
