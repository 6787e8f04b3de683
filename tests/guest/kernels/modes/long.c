// IA-32e mode: what long.S saw there.
#include "modes.h"

struct __attribute__((packed)) pointer64 {
    uint16_t limit;
    uint64_t base;
};

struct __attribute__((packed)) tss64 {
    uint32_t reserved;
    uint64_t rsp[3], reserved2, ist[7], reserved3;
    uint16_t reserved4, io_map;
};

uint64_t long_result[40], long_pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096)));
static uint64_t idt64[256][2];
static struct tss64 tss64;
struct pointer64 long_idt_pointer;
extern char long_stack_top[], long_ist_top[], long_rsp0_top[], long_user_stack_top[], long_interrupt_40[],
    long_interrupt_80[], long_fault_6[], long_fault_13[], long_fault_14[];
void visit_long_mode(void);

static void set_gate64(unsigned vector, const char* handler, unsigned dpl, unsigned stack) {
    idt64[vector][0] = gate(0xE, CODE64, (uint32_t)handler, dpl, stack);
}

static void make(void) {
    long_idt_pointer.limit = sizeof idt64 - 1;
    long_idt_pointer.base = (uint32_t)idt64;
    long_pml4[0] = (uint32_t)pdpt | 7;
    pdpt[0] = (uint32_t)pd | 7;
    for (uint32_t i = 0; i < 512; ++i) {
        pd[i] = (uint64_t)i << 21 | 0x87;
    }
    tss64.rsp[0] = (uint32_t)long_rsp0_top;
    tss64.ist[0] = (uint32_t)long_ist_top;
    tss64.io_map = sizeof tss64;
    set_descriptor(TSS64, segment((uint32_t)&tss64, sizeof tss64 - 1, 0x89, 0));
    set_descriptor(TSS64 + 8, 0);
    set_gate64(6, long_fault_6, 0, 1);
    set_gate64(13, long_fault_13, 0, 0);
    set_gate64(14, long_fault_14, 0, 0);
    set_gate64(0x40, long_interrupt_40, 0, 0);
    set_gate64(0x80, long_interrupt_80, 3, 0);
}

static void check_result(const char* name, unsigned index, uint64_t wanted) {
    check(name, (uint32_t)long_result[index], (uint32_t)wanted);
    if (long_result[index] >> 32 != wanted >> 32) {
        check("  its upper half", (uint32_t)(long_result[index] >> 32), (uint32_t)(wanted >> 32));
    }
}

void check_long(void) {
    if (!(extended_features() & 1u << 29)) {
        note("no long mode");
        return;
    }
    make();
    visit_long_mode();
    const uint64_t top = (uint32_t)long_stack_top;
    check("long: LMA and LME", (uint32_t)long_result[0] & 0x500, 0x500);
    check_result("long: stack after an interrupt", 2, top - 3);
    check("long: frames are aligned", (uint32_t)(long_result[3] + 40) & 15, 0);
    check_result("long: CS of the last interrupt", 5, CODE0);
    check_result("long: SS of the last interrupt", 7, DATA0);
    check_result("long: undefined instruction", 8, 6);
    check_result("long: on its interrupt stack", 33, (uint32_t)long_ist_top - 40);
    check_result("long: not canonical", 9, 13);
    check_result("long: page fault", 10, 14);
    check_result("long: its error code", 11, 2);
    check_result("long: CR2", 12, 0x7F0012345678);
    check_result("long: return to a not canonical address", 13, 13);
    check_result("long: 32-bit results", 14, 0xFFFFFFFF);
    check_result("long: GS base", 15, 0x77);
    check_result("long: SWAPGS", 16, 0xFFFF8000);
    check_result("long: CR8", 17, 5);
    check_result("long: SYSRET's CS", 18, 0x5B);
    check_result("long: SYSRET's SS", 19, 0x53);
    check_result("long: SYSCALL's CS", 20, 0x50);
    check_result("long: SYSCALL's SS", 21, 0x58);
    check_result("long: flags after the mask", 22, 0x7);
    check_result("long: R11", 24, 0x47);
    check_result("long: user stack of 32-bit code", 25, (uint32_t)long_user_stack_top - 4);
    check_result("long: CS of 32-bit user code", 26, CODE3);
    check_result("long: its ESP", 27, (uint32_t)long_user_stack_top - 4);
    check_result("long: SS in the handler", 28, 0);
    check_result("long: RSP in the handler", 29, (uint32_t)long_rsp0_top - 40);
    check_result("long: compatibility mode at privilege 0", 30, CODE0);
    check_result("long: and 64-bit mode again", 31, 1);
    check("long: LMA is clear without paging", (uint32_t)long_result[32] & 0x500, 0x100);
}
