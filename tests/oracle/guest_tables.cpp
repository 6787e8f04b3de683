#include "guest_tables.hpp"

#include "base/bytes.hpp"
#include "cpu/x86/registers.hpp"

#include <cstring>

namespace strata::oracle {

namespace x86 = cpu::x86;

namespace {

// Physical addresses. Those with `legacy` serve the 32-bit system.
constexpr std::uint64_t pml4 = 0x1000, low_pdpt = 0x2000, low_pd = 0x3000, arena_pt = 0x4000,
                        high_pdpt = 0x5000, high_pd = 0x6000, gdt = 0x7000, ldt = 0x7800, idt = 0x8000,
                        tss = 0x9000, stubs = 0xA000, stack_top = 0xE000, low_pt = 0xF000;
constexpr std::uint64_t legacy_pdpt = 0x1'0000, legacy_gdt = 0x1'1000, legacy_idt = 0x1'2000,
                        legacy_tss = 0x1'3000, v86_pdpt = 0x1'0020, v86_pd = 0x1'4000;

// All of physical memory, for supervisors: no case means to reach it.
constexpr std::uint64_t long_base = 0xFFFF'8000'0000'0000, legacy_base = 0xC000'0000;

constexpr std::uint16_t kernel_code = 0x10, kernel_data = 0x18, tss_selector = 0x40, ldt_selector = 0x50;
constexpr std::uint16_t gdt_limit = 0x7F, ldt_limit = local_segments * 8 - 1, tss_limit = 0x67;

constexpr std::uint16_t type_data = 0x13, type_code = 0x1B; // writable, readable, accessed, S
constexpr std::uint16_t type_ldt = 0x02, type_tss = 0x0B, type_interrupt_gate = 0x0E;
constexpr std::uint16_t dpl3 = 3 << 5, present = 1 << 7, attribute_l = 1 << 13, attribute_db = 1 << 14,
                        attribute_g = 1 << 15;

std::uint64_t linear(SystemMode mode, std::uint64_t physical) {
    return physical + (mode == SystemMode::long_mode ? long_base : legacy_base);
}

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

void write_arena_pages(std::byte* host, std::uint64_t table, std::uint64_t first) {
    for (std::uint64_t i = 0; i < arena_pages; ++i) {
        if (rights[i] != Rights::none) {
            put(host, table + (first + i) * 8,
                (arena_physical + i * page) | x86::pte::present | x86::pte::user | x86::pte::accessed |
                    x86::pte::dirty | (writable(rights[i]) ? x86::pte::writable : 0) |
                    (executable(rights[i]) ? 0 : x86::pte::no_execute));
        }
    }
}

// Four-level paging, and PAE paging that shares its lower tables.
void write_paging(std::byte* host) {
    constexpr std::uint64_t table = x86::pte::present | x86::pte::writable | x86::pte::user;
    constexpr std::uint64_t supervisor = x86::pte::present | x86::pte::writable;
    put(host, pml4, low_pdpt | table);
    put(host, low_pdpt, low_pd | table);
    put(host, low_pd + (arena >> 21) * 8, arena_pt | table);
    write_arena_pages(host, arena_pt, 0);
    write_arena_pages(host, low_pt, low_arena / page);
    put(host, pml4 + ((long_base >> 39) & 0x1FF) * 8, high_pdpt | supervisor);
    put(host, high_pdpt, high_pd | supervisor);
    put(host, high_pd, supervisor | x86::pte::large);
    put(host, legacy_pdpt, low_pd | x86::pte::present);
    put(host, v86_pdpt, v86_pd | x86::pte::present);
    put(host, v86_pd, low_pt | table);
    for (const std::uint64_t pdpt : {legacy_pdpt, v86_pdpt}) {
        put(host, pdpt + (legacy_base >> 30) * 8, high_pd | x86::pte::present);
    }
}

void write_segments(std::byte* host) {
    constexpr std::uint16_t flat = present | attribute_g;
    constexpr auto l = SystemMode::long_mode, p = SystemMode::protected_mode;
    for (const std::uint64_t table : {gdt, legacy_gdt}) {
        put(host, table + kernel_data, descriptor(0, 0xF'FFFF, type_data | flat | attribute_db));
        put(host, table + (flat_data & ~7), descriptor(0, 0xF'FFFF, type_data | flat | dpl3 | attribute_db));
    }
    put(host, gdt + kernel_code, descriptor(0, 0xF'FFFF, type_code | flat | attribute_l));
    put(host, gdt + (flat_code64 & ~7), descriptor(0, 0xF'FFFF, type_code | flat | dpl3 | attribute_l));
    put(host, gdt + (user_code32 & ~7), descriptor(0, 0xF'FFFF, type_code | flat | dpl3 | attribute_db));
    put(host, gdt + tss_selector, descriptor(linear(l, tss), tss_limit, type_tss | present));
    put(host, gdt + tss_selector + 8, linear(l, tss) >> 32);
    put(host, gdt + ldt_selector, descriptor(linear(l, ldt), ldt_limit, type_ldt | present));
    put(host, gdt + ldt_selector + 8, linear(l, ldt) >> 32);
    put(host, legacy_gdt + kernel_code, descriptor(0, 0xF'FFFF, type_code | flat | attribute_db));
    put(host, legacy_gdt + tss_selector, descriptor(linear(p, legacy_tss), tss_limit, type_tss | present));
    put(host, legacy_gdt + ldt_selector, descriptor(linear(p, ldt), ldt_limit, type_ldt | present));
    for (unsigned i = 0; i < local_segments; ++i) {
        put(host, ldt + i * 8,
            descriptor(local_table[i].base, local_table[i].limit, attributes_of(local_table[i])));
    }
}

// As in Linux, user code may reach the gates of INT3 and INTO alone.
std::uint64_t gate_attributes(unsigned vector) {
    return type_interrupt_gate | present | (vector == 3 || vector == 4 ? dpl3 : 0U);
}

std::uint64_t gate(unsigned vector, std::uint64_t target) {
    return (target & 0xFFFF) | std::uint64_t{kernel_code} << 16 | gate_attributes(vector) << 40 |
           ((target >> 16) & 0xFFFF) << 48;
}

void write_interrupts(std::byte* host) {
    for (unsigned vector = 0; vector < handlers; ++vector) {
        constexpr std::byte hlt{0xF4};
        const std::uint64_t stub = stubs + vector * handler_stride;
        host[stub] = hlt;
        const std::uint64_t target = linear(SystemMode::long_mode, stub);
        put(host, idt + vector * 16, gate(vector, target));
        put(host, idt + vector * 16 + 8, target >> 32);
        put(host, legacy_idt + vector * 8, gate(vector, linear(SystemMode::protected_mode, stub)));
    }
    // The stack of level 0, and no I/O permission map: its base lies beyond the limit.
    constexpr std::uint64_t rsp0 = 4, ss0 = 8, map_base = 102;
    put(host, tss + rsp0, linear(SystemMode::long_mode, stack_top));
    store_le<std::uint32_t>(host + legacy_tss + rsp0,
                            static_cast<std::uint32_t>(linear(SystemMode::protected_mode, stack_top)));
    store_le<std::uint16_t>(host + legacy_tss + ss0, kernel_data);
    store_le<std::uint16_t>(host + tss + map_base, tss_limit + 1);
    store_le<std::uint16_t>(host + legacy_tss + map_base, tss_limit + 1);
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

x86::SystemState guest_system_state(SystemMode mode) {
    const bool long_mode = mode == SystemMode::long_mode;
    x86::SystemState state{};
    state.cr0 = x86::cr0::pe | x86::cr0::mp | x86::cr0::et | x86::cr0::ne | x86::cr0::wp | x86::cr0::am |
                x86::cr0::pg;
    state.cr3 = long_mode ? pml4 : mode == SystemMode::protected_mode ? legacy_pdpt : v86_pdpt;
    state.cr4 = x86::cr4::pae | x86::cr4::pge | x86::cr4::osfxsr | x86::cr4::osxmmexcpt | x86::cr4::osxsave;
    state.efer = x86::efer::nxe | (long_mode ? x86::efer::sce | x86::efer::lme | x86::efer::lma : 0);
    state.xcr0 = 7;
    state.gdtr = {linear(mode, long_mode ? gdt : legacy_gdt), gdt_limit};
    state.idtr = {linear(mode, long_mode ? idt : legacy_idt),
                  static_cast<std::uint16_t>(handlers * (long_mode ? 16 : 8) - 1)};
    state.ldtr = segment_of(ldt_selector, linear(mode, ldt), ldt_limit, type_ldt | present);
    state.tr =
        segment_of(tss_selector, linear(mode, long_mode ? tss : legacy_tss), tss_limit, type_tss | present);
    return state;
}

namespace {

bool pushes_error_code(std::uint8_t vector) {
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

// Takes values off the handler's stack.
class FrameReader {
public:
    FrameReader(const std::byte* at, bool wide) : at_(at), wide_(wide) {}

    std::uint64_t pop() {
        const std::uint64_t value = wide_ ? load_le<std::uint64_t>(at_) : load_le<std::uint32_t>(at_);
        at_ += wide_ ? 8 : 4;
        return value;
    }

    std::uint16_t pop_selector() { return static_cast<std::uint16_t>(pop()); }

private:
    const std::byte* at_;
    bool wide_;
};

} // namespace

std::optional<ExceptionFrame> read_exception_frame(SystemMode mode, const x86::State& state,
                                                   const std::byte* host) {
    const bool long_mode = mode == SystemMode::long_mode;
    const std::uint64_t stub = state.rip - 1 - linear(mode, stubs);
    const std::uint64_t stack = state.gpr[x86::rsp] - linear(mode, 0);
    constexpr std::uint64_t largest_frame = 10 * 8;
    if (stub >= handlers * handler_stride || stub % handler_stride != 0 || stack > stack_top - 5 * 4 ||
        stack < stack_top - largest_frame) {
        return std::nullopt;
    }
    ExceptionFrame frame;
    frame.vector = static_cast<std::uint8_t>(stub / handler_stride);
    FrameReader reader(host + stack, long_mode);
    frame.error_code = pushes_error_code(frame.vector) ? static_cast<std::uint32_t>(reader.pop()) : 0;
    frame.rip = reader.pop();
    frame.cs = reader.pop_selector();
    frame.rflags = reader.pop();
    frame.rsp = reader.pop();
    frame.ss = reader.pop_selector();
    if (frame.rflags & x86::flag::vm) {
        for (auto& selector : frame.data_segments) {
            selector = reader.pop_selector();
        }
    }
    return frame;
}

} // namespace strata::oracle
