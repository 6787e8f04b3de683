// Virtual-8086 mode: what it does alone, what traps, and VME's help.
#include "modes.h"

// 16-bit code, copied to 64 KiB where a real-mode segment reaches it.
extern const char code_plain[], code_int[], code_cli[], code_flags[], code_iret[], code_far[], code_io[],
    code_sti[], code_end[];

enum { CODE_AT = 0x10000, STACK_AT = 0x20000 };

__asm__(".pushsection .rodata\n .code16\n"
        "code_plain: mov $0x1234, %ax\n mov %ax, %es\n mov %es, %bx\n hlt\n"
        "code_int: int $0x21\n hlt\n"
        "code_cli: cli\n hlt\n"
        "code_sti: sti\n hlt\n"
        "code_flags: pushf\n pop %ax\n hlt\n"
        "code_iret: push $0x202\n push $0x1000\n push $(1f - code_plain)\n iret\n nop\n 1: hlt\n"
        "code_far: lcall $0x1000, $(1f - code_plain)\n hlt\n 1: mov %sp, %bp\n mov 2(%bp), %cx\n lret\n"
        "code_io: out %al, $0x81\n hlt\n"
        "code_end:\n .code32\n .popsection\n");

enum { TRAP_FLAG_VM = 0x20000, VIF = 0x80000, VIP = 0x100000 };

static struct trap user; // what runs next in virtual-8086 mode

__attribute__((noinline)) static void enter_v86(void) {
    __asm__ volatile("mov %%esp, tss + 4\n"
                     "push %0\n push %0\n push %0\n push %0\n" // GS, FS, DS, ES
                     "push %1\n push $0xFFFE\n push %2\n push %0\n push %3\n iret"
                     :
                     : "r"(CODE_AT >> 4), "r"(STACK_AT >> 4), "r"(user.eflags), "r"(user.eip)
                     : "memory");
}

// Runs code until it traps; HLT is #GP there, so a good end is a #GP at the HLT.
static uint32_t run(const char* code, uint32_t eflags) {
    for (const char* from = code_plain; from != code_end; ++from) {
        ((volatile char*)CODE_AT)[from - code_plain] = *from;
    }
    user.eip = (uint32_t)(code - code_plain);
    user.eflags = eflags | TRAP_FLAG_VM | 2;
    return (uint32_t)CATCH(enter_v86());
}

static uint8_t byte_at_trap(void) { return ((volatile uint8_t*)CODE_AT)[trap.eip & 0xFFFF]; }

static void check_vme(void) {
    write_cr4(read_cr4() | 1);
    check("VME: CLI clears VIF", run(code_cli, VIF | 0x200), 13);
    check("VME: at the HLT", byte_at_trap(), 0xF4);
    check("VME: VIF is clear, IF is not", trap.eflags & (VIF | 0x200), 0x200);
    check("VME: STI sets VIF", run(code_sti, 0), 13);
    check("VME: VIF", trap.eflags & (VIF | 0x200), VIF);
    check("VME: STI with an interrupt waiting", run(code_sti, VIP), 13);
    check("VME: at the STI", byte_at_trap(), 0xFB);
    check("VME: PUSHF shows VIF and IOPL 3", run(code_flags, VIF), 13);
    check("VME: its flags", trap.eax & 0xFFFF, 0x3202);
    check("VME: IRET changes VIF", run(code_iret, 0), 13);
    check("VME: at the HLT", byte_at_trap(), 0xF4);
    check("VME: flags", trap.eflags & (VIF | 0x3200), VIF);
    for (int i = 0; i < 32; ++i) {
        tss.redirection[i] = 0;
    }
    *(volatile uint32_t*)(0x21 * 4) = (uint32_t)(CODE_AT >> 4) << 16 | (uint32_t)(code_end - code_plain);
    ((volatile char*)CODE_AT)[code_end - code_plain] = (char)0xF4;
    check("VME: redirected INT", run(code_int, VIF), 13);
    check("VME: at its handler's HLT", trap.eip & 0xFFFF, (uint32_t)(code_end - code_plain));
    check("VME: VIF is clear in the handler", trap.eflags & VIF, 0);
    const volatile uint16_t* stack = (volatile uint16_t*)(STACK_AT + (trap.esp & 0xFFFF));
    check("VME: return IP", stack[0], (uint32_t)(code_int - code_plain) + 2);
    check("VME: flags pushed", stack[2], 0x3202);
    tss.redirection[0x21 / 8] |= 1 << (0x21 % 8);
    check("VME: INT kept from redirection", run(code_int, 0), 13);
    check("VME: at the INT", byte_at_trap(), 0xCD);
    write_cr4(read_cr4() & ~1u);
}

void check_v86(void) {
    const uint32_t iopl3 = 0x3000;
    check("v86: moves of segments", run(code_plain, 0), 13);
    check("v86: stopped at HLT", byte_at_trap(), 0xF4);
    check("v86: VM in the frame", trap.eflags & TRAP_FLAG_VM, TRAP_FLAG_VM);
    check("v86: CS in the frame", trap.cs & 0xFFFF, CODE_AT >> 4);
    check("v86: SS in the frame", trap.ss & 0xFFFF, STACK_AT >> 4);
    check("v86: ES in the frame", trap.es & 0xFFFF, 0x1234);
    check("v86: DS in the handler is null", trap.ds_ & 0xFFFF, 0);
    check("v86: BX", trap.ebx & 0xFFFF, 0x1234);

    check("v86: INT with IOPL 0", run(code_int, 0), 13);
    check("v86: its error code", trap.error, 0);
    check("v86: at the INT", byte_at_trap(), 0xCD);
    check("v86: INT with IOPL 3 meets a privileged gate", run(code_int, iopl3), 13);
    check("v86: its error code", trap.error, 0x21 * 8 + 2);
    check("v86: CLI with IOPL 0", run(code_cli, 0), 13);
    check("v86: at the CLI", byte_at_trap(), 0xFA);
    check("v86: CLI with IOPL 3", run(code_cli, iopl3 | 0x200), 13);
    check("v86: at the HLT", byte_at_trap(), 0xF4);
    check("v86: IF is clear", trap.eflags & 0x200, 0);
    check("v86: PUSHF with IOPL 0", run(code_flags, 0), 13);
    check("v86: at the PUSHF", byte_at_trap(), 0x9C);
    check("v86: PUSHF with IOPL 3", run(code_flags, iopl3), 13);
    check("v86: its flags", trap.eax & 0xFFFF, 0x3002);
    check("v86: IRET with IOPL 0", run(code_iret, 0), 13);
    check("v86: at the IRET", byte_at_trap(), 0xCF);
    check("v86: IRET with IOPL 3", run(code_iret, iopl3), 13);
    check("v86: at the HLT", byte_at_trap(), 0xF4);
    check("v86: it enabled interrupts, IOPL stays", trap.eflags & 0x3200, 0x3200);
    check("v86: far call and return", run(code_far, 0), 13);
    check("v86: at the HLT", byte_at_trap(), 0xF4);
    check("v86: CS on its stack", trap.ecx & 0xFFFF, CODE_AT >> 4);
    check("v86: port by the map, even with IOPL 3", run(code_io, iopl3), 13);
    check("v86: at the OUT", byte_at_trap(), 0xE6);

    if (cpuid(1).edx & 2) {
        check_vme();
    }
}
