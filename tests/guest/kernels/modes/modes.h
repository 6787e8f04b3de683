// A kernel that exercises the processor's modes as loaders and operating systems do, and says what happened.
#pragma once

#include <stdint.h>

// ---- reporting (report.c): one line a check on the serial line ----
void begin_reports(void);
void check(const char* name, uint32_t got, uint32_t wanted);
void note(const char* text);
extern unsigned checks, failures;

// ---- descriptors (tables.c) ----
enum {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x1B,
    DATA3 = 0x23,
    TSS = 0x28,
    TSS2 = 0x30,
    CODE16 = 0x38,
    DATA16 = 0x40,
    GATE = 0x48,
    CODE64 = 0x50,
    CODE64_3 = 0x5B,
    SMALL = 0x60,
    EXPAND_DOWN = 0x68,
    CONFORMING = 0x70,
    ABSENT = 0x78,
    TASK_GATE = 0x80,
    FAULT_TSS = 0x88,
    TSS64 = 0x90 /* two entries */,
    LDT = 0xA0,
    GDT_BYTES = 0xA8
};

struct tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi,
        es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
    uint8_t redirection[32], io_bits[8192], end;
} __attribute__((packed));

extern struct tss tss, tss2, fault_tss;
void set_descriptor(unsigned selector, uint64_t value);
uint64_t segment(uint32_t base, uint32_t limit, unsigned access, unsigned flags);
uint64_t gate(unsigned type, unsigned selector, uint32_t offset, unsigned dpl, unsigned count);
void set_gate(unsigned vector, uint64_t value);
uint64_t get_gate(unsigned vector);
void make_tables(void);

// ---- traps (traps.S, tables.c): what the last one pushed ----
struct trap {
    uint32_t gs_, fs_, es_, ds_; // saved by the stub
    uint32_t edi, esi, ebp, ignored, ebx, edx, ecx, eax;
    uint32_t vector, error, eip, cs, eflags;
    uint32_t esp, ss, es, ds, fs, gs; // from another privilege; the last four from virtual-8086 mode
};

extern struct trap trap;
extern uint32_t trap_cr2;
extern void* recover[5];
extern volatile int armed;
// Called before a trap abandons what it interrupted; true: go on where the trap says instead.
extern int (*on_trap)(struct trap*);

// Does something and gives the vector of the trap that ended it, or -1.
#define CATCH(action)                                                                                        \
    ({                                                                                                       \
        int vector_ = -1;                                                                                    \
        armed = 1;                                                                                           \
        if (__builtin_setjmp(recover) == 0) {                                                                \
            action;                                                                                          \
        } else {                                                                                             \
            vector_ = (int)trap.vector;                                                                      \
        }                                                                                                    \
        armed = 0;                                                                                           \
        vector_;                                                                                             \
    })

// Runs a function at privilege level 3; it comes back by trap 0x80, or by what it does wrong.
void enter_user(void (*function)(void), uint32_t eflags);
#define LEAVE_USER() __asm__ volatile("int $0x80")

// ---- the groups of checks ----
void check_segments(void);
void check_gates(void);
void check_tasks(void);
void check_v86(void);
void check_real(void);
void check_paging(void);
void check_debug(void);
void check_long(void);

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf) {
    struct cpuid r;
    __asm__("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
    return r;
}

static inline uint32_t extended_features(void) {
    return cpuid(0x80000000).eax > 0x80000000u ? cpuid(0x80000001).edx : 0;
}

static inline uint32_t read_cr0(void) {
    uint32_t v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static inline void write_cr0(uint32_t v) { __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }

static inline uint32_t read_cr3(void) {
    uint32_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}

static inline void write_cr3(uint32_t v) { __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }

static inline uint32_t read_cr4(void) {
    uint32_t v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static inline void write_cr4(uint32_t v) { __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }

static inline void outb(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port) {
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
