// The descriptor tables, and what becomes of traps.
#include "modes.h"

static uint64_t gdt[GDT_BYTES / 8], idt[256];
struct tss tss, tss2, fault_tss;
struct trap trap;
uint32_t trap_cr2;
void* recover[5];
volatile int armed;
int (*on_trap)(struct trap*);
extern char trap_stubs[];

struct __attribute__((packed)) pointer {
    uint16_t limit;
    uint32_t base;
};

uint64_t segment(uint32_t base, uint32_t limit, unsigned access, unsigned flags) {
    return (limit & 0xFFFF) | (uint64_t)(base & 0xFFFFFF) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 0xF) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

uint64_t gate(unsigned type, unsigned selector, uint32_t offset, unsigned dpl, unsigned count) {
    return (offset & 0xFFFF) | selector << 16 | (uint64_t)count << 32 |
           (uint64_t)(0x80 | dpl << 5 | type) << 40 | (uint64_t)(offset >> 16) << 48;
}

void set_descriptor(unsigned selector, uint64_t value) { gdt[selector / 8] = value; }

void set_gate(unsigned vector, uint64_t value) { idt[vector] = value; }

uint64_t get_gate(unsigned vector) { return idt[vector]; }

static unsigned stub_bytes(void) { return 16; }

void make_tables(void) {
    set_descriptor(CODE0, segment(0, 0xFFFFF, 0x9B, 0xC));
    set_descriptor(DATA0, segment(0, 0xFFFFF, 0x93, 0xC));
    set_descriptor(CODE3, segment(0, 0xFFFFF, 0xFB, 0xC));
    set_descriptor(DATA3, segment(0, 0xFFFFF, 0xF3, 0xC));
    set_descriptor(CODE16, segment(0, 0xFFFF, 0x9B, 0));
    set_descriptor(DATA16, segment(0, 0xFFFF, 0x93, 0));
    set_descriptor(CODE64, segment(0, 0xFFFFF, 0x9B, 0xA));
    set_descriptor(CODE64_3, segment(0, 0xFFFFF, 0xFB, 0xA));
    set_descriptor(CONFORMING, segment(0, 0xFFFFF, 0x9F, 0xC));
    set_descriptor(ABSENT, segment(0, 0xFFFFF, 0x13, 0xC));
    set_descriptor(TSS, segment((uint32_t)&tss, sizeof tss - 1, 0x89, 0));
    set_descriptor(TSS2, segment((uint32_t)&tss2, sizeof tss2 - 1, 0x89, 0));
    set_descriptor(FAULT_TSS, segment((uint32_t)&fault_tss, sizeof fault_tss - 1, 0x89, 0));
    set_descriptor(TASK_GATE, gate(5, TSS2, 0, 3, 0));
    for (unsigned vector = 0; vector < 256; ++vector) {
        set_gate(vector, gate(0xE, CODE0, (uint32_t)trap_stubs + vector * stub_bytes(), 0, 0));
    }
    set_gate(0x80, gate(0xE, CODE0, (uint32_t)trap_stubs + 0x80 * stub_bytes(), 3, 0));
    set_gate(3, gate(0xF, CODE0, (uint32_t)trap_stubs + 3 * stub_bytes(), 3, 0));
    tss.ss0 = DATA0;
    tss.io_map = (uint16_t)((uint32_t)tss.io_bits - (uint32_t)&tss);
    tss.end = 0xFF;
    const struct pointer gdtr = {sizeof gdt - 1, (uint32_t)gdt}, idtr = {sizeof idt - 1, (uint32_t)idt};
    __asm__ volatile("lgdt %0\n lidt %1\n"
                     "ljmp %2, $1f\n 1:\n"
                     "mov %3, %%ds\n mov %3, %%es\n mov %3, %%ss\n"
                     "xor %%eax, %%eax\n mov %%eax, %%fs\n mov %%eax, %%gs\n"
                     "mov %4, %%eax\n ltr %%ax\n"
                     :
                     : "m"(gdtr), "m"(idtr), "i"(CODE0), "r"(DATA0), "i"(TSS)
                     : "eax", "memory");
}

void take_trap(struct trap* frame) {
    trap = *frame;
    __asm__ volatile("mov %%cr2, %0" : "=r"(trap_cr2));
    if (on_trap && on_trap(frame)) {
        return;
    }
    if (!armed) {
        check("unexpected trap: vector", frame->vector, 0xFFFF);
        check("unexpected trap: eip", frame->eip, 0);
        outb(0xF4, 1);
    }
    __builtin_longjmp(recover, 1);
}
