#include "processor_start.hpp"

#include "base/bytes.hpp"
#include "cpu/x86/registers.hpp"
#include "kernel_start.hpp"

namespace strata::fuzz {
namespace {

namespace x86 = cpu::x86;
namespace pte = cpu::x86::pte;

constexpr std::uint64_t page = 0x1000;

// Physical addresses; paging maps all of low memory to itself, but for the odd pages below.
constexpr std::uint64_t code_at = 0x1000, code_end = 0x3000, stack_top = 0x5000, gdt = 0x5000, ldt = 0x5800,
                        idt = 0x6000, tss = 0x7000, other_tss = 0xA000;
constexpr std::uint64_t pml4 = page_tables, pdpt = pml4 + page, page_directory = pdpt + page,
                        page_table = page_directory + page, old_directory = page_table + page,
                        old_table = old_directory + page, pae_pdpt = old_table + page;
static_assert(pae_pdpt + page == page_tables_end);
constexpr std::uint64_t odd_pages = 0x2'0000; // their rights differ, see odd_entry()

constexpr std::uint8_t hlt = 0xF4;

// Selectors. Those of systems segments take 16 bytes in long mode.
constexpr std::uint16_t code_0 = 0x08, data_0 = 0x10, data_3 = 0x18, code_3 = 0x20, narrow_code_3 = 0x28,
                        code16_3 = 0x30, task = 0x38, local_table = 0x48, call_gate = 0x58, other_task = 0x68,
                        task_gate = 0x78, conforming = 0x80, gdt_limit = 0x8F;

constexpr std::uint16_t attributes_code = 0x9B, attributes_data = 0x93, dpl3 = 0x60, long_code = 0x2000,
                        big = 0x4000, granular = 0x8000;

// A code, data or system descriptor. SDM volume 3 section 3.4.5.
constexpr std::uint64_t descriptor(std::uint64_t base, std::uint64_t limit, std::uint64_t attributes) {
    return (limit & 0xFFFF) | (base & 0xFF'FFFF) << 16 | attributes << 40 | (limit >> 16 & 0xF) << 48 |
           (base >> 24 & 0xFF) << 56;
}

class World {
public:
    explicit World(ProcessorMode mode) : mode_(mode), bytes_(all_ram) {}

    std::vector<std::byte> make() {
        std::fill(bytes_.begin() + code_at, bytes_.begin() + code_end, std::byte{hlt});
        std::fill(bytes_.begin() + handlers, bytes_.begin() + handlers + page, std::byte{hlt});
        for (std::uint64_t at = 0x3000; at < stack_top; at += 8) { // data of many kinds
            put(at, at * 0x9E37'79B9'7F4A'7C15);
        }
        write_segments();
        write_gates();
        write_tasks();
        write_paging();
        return bytes_;
    }

private:
    void put(std::uint64_t at, std::uint64_t value) { store_le(&bytes_[at], value); }

    // As wide as the mode's code.
    [[nodiscard]] std::uint64_t wide_attributes(bool code) const {
        switch (mode_) {
        case ProcessorMode::long_64:
        case ProcessorMode::compatibility: return granular | (code ? long_code : big);
        case ProcessorMode::protected_16: return 0;
        default: return granular | big;
        }
    }

    void write_segments() {
        const std::uint64_t limit = 0xF'FFFF;
        put(gdt + code_0, descriptor(0, limit, attributes_code | wide_attributes(true)));
        put(gdt + data_0, descriptor(0, limit, attributes_data | wide_attributes(false)));
        put(gdt + data_3, descriptor(0, limit, attributes_data | dpl3 | wide_attributes(false)));
        put(gdt + code_3, descriptor(0, limit, attributes_code | dpl3 | wide_attributes(true)));
        put(gdt + narrow_code_3, descriptor(0, limit, attributes_code | dpl3 | granular | big));
        put(gdt + code16_3, descriptor(0, limit, attributes_code | dpl3));
        put(gdt + conforming, descriptor(0, limit, attributes_code | 4 | wide_attributes(true)));
        constexpr std::uint16_t ldt_attributes = 0x82, tss_attributes = 0x8B, free_tss = 0x89, present = 0x80;
        put(gdt + task, descriptor(tss, 0x20FF, tss_attributes));
        put(gdt + local_table, descriptor(ldt, 0x7F, ldt_attributes | dpl3));
        const std::uint64_t kind = mode_ == ProcessorMode::protected_16 ? 4 : 0xC;
        put(gdt + call_gate, handlers | std::uint64_t{code_0} << 16 | (present | dpl3 | kind) << 40);
        put(gdt + other_task, descriptor(other_tss, 0x67, free_tss | dpl3));
        if (!is_long(mode_)) {
            put(gdt + task_gate, std::uint64_t{other_task} << 16 | std::uint64_t{present | dpl3 | 5} << 40);
        }
        for (std::uint64_t i = 0; i < 16; ++i) {
            put(ldt + i * 8, descriptor(i << 8, 0xFFF, (i % 2 == 0 ? 0x92U : 0x9AU) | dpl3 | (i & 0xD)));
        }
    }

    // Every vector leads to a HLT of its own.
    void write_gates() {
        constexpr std::uint64_t present = 0x80;
        for (std::uint64_t vector = 0; vector < 256; ++vector) {
            const std::uint64_t target = handlers + vector * 8;
            if (mode_ == ProcessorMode::real || mode_ == ProcessorMode::virtual_8086) {
                store_le(&bytes_[vector * 4], static_cast<std::uint32_t>(target));
            }
            const std::uint64_t kind = mode_ == ProcessorMode::protected_16 ? 6 : 0xE;
            const std::uint64_t dpl = vector == 3 || vector == 4 || vector >= 32 ? dpl3 : 0;
            const std::uint64_t gate = target | std::uint64_t{code_0} << 16 | (present | kind | dpl) << 40;
            put(idt + vector * (is_long(mode_) ? 16 : 8), gate);
        }
    }

    void write_tasks() {
        if (is_long(mode_)) {
            put(tss + 4, stack_top);       // RSP0
            put(tss + 36, stack_top - 64); // IST1
        } else if (mode_ == ProcessorMode::protected_16) {
            store_le(&bytes_[tss + 4], static_cast<std::uint32_t>(stack_top));
            put(tss + 8, data_0);
        } else {
            store_le(&bytes_[tss + 4], static_cast<std::uint32_t>(stack_top)); // ESP0
            put(tss + 8, data_0);
        }
        store_le(&bytes_[tss + 102], std::uint16_t{0x68 + 32}); // the ports' permissions, after VME's
        const std::array<std::uint32_t, 14> fields{0,      static_cast<std::uint32_t>(handlers),
                                                   2,      0,
                                                   1,      2,
                                                   3,      static_cast<std::uint32_t>(stack_top - 256),
                                                   5,      6,
                                                   7,      data_0,
                                                   code_0, data_0};
        for (std::size_t i = 0; i < fields.size(); ++i) {
            store_le(&bytes_[other_tss + 28 + i * 4], fields[i]);
        }
    }

    // What a page of the world is mapped to, by page tables of 8-byte entries.
    static std::uint64_t entry(std::uint64_t address, bool has_nx) {
        constexpr std::uint64_t all = pte::present | pte::writable | pte::user;
        if (address < odd_pages || address >= odd_pages + 8 * page) {
            return address | all;
        }
        switch ((address - odd_pages) / page) {
        case 0: return 0;
        case 1: return address | pte::present | pte::user;
        case 2: return address | all | (has_nx ? pte::no_execute : 0);
        case 3: return address | pte::present | pte::writable;
        case 4: return has_nx ? (std::uint64_t{1} << 32 | all) : address | all;
        case 5: return 0xFEE0'0000 | all;                    // no RAM
        case 6: return (low_ram - page) | all | pte::global; // its last page
        default: return code_at | all;                       // code, once more
        }
    }

    void write_paging() {
        constexpr std::uint64_t table = pte::present | pte::writable | pte::user;
        for (const std::uint64_t top : {std::uint64_t{0}, std::uint64_t{256}, std::uint64_t{511}}) {
            put(pml4 + top * 8, pdpt | table);
        }
        put(pdpt, page_directory | table);
        put(pdpt + 511 * 8, page_directory | table);
        put(pae_pdpt, page_directory | pte::present);
        put(pae_pdpt + 3 * 8, page_directory | pte::present);
        put(page_directory, page_table | table);
        put(page_directory + 8, table | pte::large); // once more, as a large page
        store_le(&bytes_[old_directory], static_cast<std::uint32_t>(old_table | table));
        store_le(&bytes_[old_directory + 4], static_cast<std::uint32_t>(table | pte::large));
        for (std::uint64_t i = 0; i < 512; ++i) {
            put(page_table + i * 8, entry(i * page, is_long(mode_)));
            store_le(&bytes_[old_table + i * 4], static_cast<std::uint32_t>(entry(i * page, false)));
        }
    }

    ProcessorMode mode_;
    std::vector<std::byte> bytes_;
};

x86::Segment segment(std::uint16_t selector, std::uint64_t attributes) {
    return {.selector = selector,
            .base = 0,
            .limit = (attributes & granular) != 0 ? 0xFFFF'FFFF : 0xFFFF,
            .attributes = static_cast<std::uint16_t>(attributes)};
}

void set_segments(ProcessorStart& start) {
    x86::SystemState& system = start.state.system;
    const auto all_data = [&](std::uint16_t selector, std::uint64_t attributes) {
        for (x86::Segment& data : system.segments) {
            data = segment(selector, attributes);
        }
    };
    if (start.mode == ProcessorMode::real) {
        all_data(0, attributes_data);
        system.segments[x86::cs].attributes = attributes_code;
        return;
    }
    if (start.mode == ProcessorMode::virtual_8086) {
        all_data(0, attributes_data | dpl3);
        return;
    }
    const std::uint64_t level = start.user ? dpl3 : 0;
    const bool narrow = start.mode == ProcessorMode::protected_16;
    const std::uint64_t width = narrow ? 0 : granular | big;
    all_data(start.user ? data_3 | 3 : data_0, attributes_data | level | width);
    std::uint16_t selector = start.user ? code_3 | 3 : code_0;
    std::uint64_t attributes = attributes_code | level | width;
    if (start.mode == ProcessorMode::compatibility) {
        selector = narrow_code_3 | 3;
    } else if (start.mode == ProcessorMode::long_64) {
        attributes = attributes_code | level | granular | long_code;
    }
    system.segments[x86::cs] = segment(selector, attributes);
}

// Bits that may be switched over without leaving the mode.
constexpr std::uint64_t free_cr0 =
    x86::cr0::mp | x86::cr0::em | x86::cr0::ts | x86::cr0::ne | x86::cr0::wp | x86::cr0::am;
constexpr std::uint64_t free_cr4 = x86::cr4::vme | x86::cr4::pvi | x86::cr4::tsd | x86::cr4::de |
                                   x86::cr4::pse | x86::cr4::pge | x86::cr4::osfxsr | x86::cr4::osxmmexcpt |
                                   x86::cr4::umip | x86::cr4::fsgsbase | x86::cr4::osxsave | x86::cr4::smep |
                                   x86::cr4::smap;
constexpr std::uint64_t free_flags = x86::flag::arithmetic | x86::flag::tf | x86::flag::if_ | x86::flag::df |
                                     x86::flag::iopl | x86::flag::nt | x86::flag::rf | x86::flag::ac |
                                     x86::flag::vif | x86::flag::vip | x86::flag::id;

void set_control(ProcessorStart& start, Input& input) {
    x86::SystemState& system = start.state.system;
    system.gdtr = {gdt, gdt_limit};
    system.idtr = {idt, static_cast<std::uint16_t>(is_long(start.mode) ? 0xFFF : 0x7FF)};
    system.ldtr = {.selector = local_table, .base = ldt, .limit = 0x7F, .attributes = 0x82};
    system.tr = {.selector = task, .base = tss, .limit = 0x20FF, .attributes = 0x8B};
    system.cr0 = x86::cr0::pe | x86::cr0::et | x86::cr0::ne | x86::cr0::mp;
    system.cr4 = x86::cr4::osfxsr | x86::cr4::osxmmexcpt | x86::cr4::osxsave | x86::cr4::fsgsbase;
    system.xcr0 = 7;
    system.efer = x86::efer::sce | x86::efer::nxe;
    switch (start.mode) {
    case ProcessorMode::real:
        system.cr0 &= ~x86::cr0::pe;
        system.idtr = {0, 0x3FF};
        break;
    case ProcessorMode::paging_32:
    case ProcessorMode::virtual_8086:
        system.cr0 |= x86::cr0::pg;
        system.cr4 |= x86::cr4::pse;
        system.cr3 = old_directory;
        break;
    case ProcessorMode::paging_pae:
        system.cr0 |= x86::cr0::pg;
        system.cr4 |= x86::cr4::pae;
        system.cr3 = pae_pdpt;
        break;
    case ProcessorMode::long_64:
    case ProcessorMode::compatibility:
        system.cr0 |= x86::cr0::pg;
        system.cr4 |= x86::cr4::pae;
        system.efer |= x86::efer::lme | x86::efer::lma;
        system.cr3 = pml4;
        break;
    default: break;
    }
    system.cr0 ^= input.take<std::uint32_t>() & free_cr0;
    system.cr4 ^= input.take<std::uint32_t>() & free_cr4;
    start.state.rflags = x86::flag::fixed | (input.take<std::uint32_t>() & free_flags);
    if (start.mode == ProcessorMode::virtual_8086) {
        start.state.rflags |= x86::flag::vm;
    }
    system.star = std::uint64_t{code_0} << 32 | std::uint64_t{data_0} << 48;
    system.lstar = system.cstar = system.sysenter_eip = handlers;
    system.sysenter_cs = code_0;
    system.sysenter_esp = stack_top;
}

// Where accesses are apt to go wrong.
constexpr std::array<std::uint64_t, 32> places{
    0,
    1,
    code_at,
    code_end - 2,
    0x3000,
    0x3FFC, // over a page's end
    stack_top - 8,
    gdt,
    idt,
    tss,
    page_table,
    page_table + 3 * 8,
    odd_pages - 4,
    odd_pages + page - 1,
    odd_pages + 2 * page - 3,
    odd_pages + 3 * page,
    odd_pages + 4 * page,
    odd_pages + 5 * page,
    odd_pages + 6 * page - 8,
    odd_pages + 7 * page - 4,
    odd_pages + 7 * page,
    low_ram - 4,
    low_ram,
    0x20'3000,
    0xFFFF,
    0x7FFF'FFFF,
    0xFFFF'FFFC,
    0x1'0000'0000,
    0x7FFF'FFFF'FFFC,
    0xFFFF'8000'0000'3000,
    0xFFFF'FFFF'C000'3000,
    ~std::uint64_t{0},
};

void set_registers(ProcessorStart& start, Input& input) {
    for (std::uint64_t& reg : start.state.gpr) {
        const auto how = input.take<std::uint8_t>();
        reg = how<64 ? places[how % places.size()]
                     : how<192 ? std::uint64_t{how} - 64 : input.take<std::uint64_t>()>>(how - 192);
    }
    start.state.gpr[x86::rsp] =
        input.take<std::uint8_t>() < 192 ? stack_top - 0x100 : start.state.gpr[x86::rsp];
    x86::FpState& fp = start.state.fp;
    std::uint64_t noise = input.take<std::uint64_t>();
    for (x86::Vector256& ymm : fp.ymm) {
        for (std::uint64_t& lane : ymm.lanes) {
            noise = noise * 0x5851'F42D'4C95'7F2D + (noise >> 60);
            lane = noise ^ noise >> 29;
        }
    }
    for (x86::Float80& number : fp.physical) {
        noise = noise * 0x5851'F42D'4C95'7F2D + 1;
        number = {.significand = noise, .sign_exponent = static_cast<std::uint16_t>(0x3FF0 + (noise >> 59))};
    }
    fp.fcw = static_cast<std::uint16_t>((input.take<std::uint16_t>() & 0xF3F) ^ 0x37F);
    fp.fsw = input.take<std::uint16_t>() & 0x7800; // TOP and condition codes, no exception
    fp.abridged_tag = input.take<std::uint8_t>();
    fp.mxcsr = (input.take<std::uint16_t>() & 0xFFFFU) ^ 0x1F80U;
}

void take_memory(ProcessorStart& start, Input& input) {
    for (unsigned count = input.take<std::uint8_t>() % 8; count > 0; --count) {
        const std::uint64_t address = input.take<std::uint32_t>() % low_ram;
        const auto bytes = input.take_bytes(input.take<std::uint8_t>());
        start.patches.push_back({address, bytes.first(std::min(bytes.size(), low_ram - address))});
    }
    constexpr std::size_t most_events = 32;
    const auto event_count = input.take<std::uint8_t>();
    start.events = input.take_bytes(event_count < 192 ? 0 : event_count % most_events);
    // The code: near a page's end sometimes.
    const auto where = input.take<std::uint8_t>();
    start.state.rip = code_at + (where < 192 ? where : 0x1000 - (where - 191U));
    start.patches.push_back({start.state.rip, input.take_bytes(512)});
}

} // namespace

ProcessorStart::ProcessorStart(Input input) {
    const auto how = input.take<std::uint8_t>();
    mode = static_cast<ProcessorMode>((how & 0x7F) % static_cast<unsigned>(ProcessorMode::count));
    user = (how & 0x80) != 0 || mode == ProcessorMode::compatibility;
    set_segments(*this);
    set_control(*this, input);
    set_registers(*this, input);
    if ((how & 0x40) != 0) {
        set_kernel(*this);
    }
    take_memory(*this, input);
}

const std::vector<std::byte>& processor_world(ProcessorMode mode) {
    static const auto worlds = [] {
        std::vector<std::vector<std::byte>> all;
        for (unsigned i = 0; i < static_cast<unsigned>(ProcessorMode::count); ++i) {
            all.push_back(World(static_cast<ProcessorMode>(i)).make());
        }
        return all;
    }();
    return worlds[static_cast<unsigned>(mode)];
}

} // namespace strata::fuzz
