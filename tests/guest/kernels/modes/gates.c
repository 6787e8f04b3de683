// Privilege: user mode, call gates, interrupt gates, far returns, port permissions.
#include "modes.h"

extern uint32_t gate_frame[4], gate_ss;
extern char gate_target[];

static void user_nothing(void) { LEAVE_USER(); }

static void user_hlt(void) { __asm__ volatile("hlt"); }

static void user_cli(void) { __asm__ volatile("cli"); }

static void user_cr0(void) { __asm__ volatile("mov %%cr0, %%eax" : : : "eax"); }

static void user_gate_32(void) { __asm__ volatile("int $0x20"); }

static void user_int3(void) { __asm__ volatile("int3"); }

static void user_load_data0(void) { __asm__ volatile("mov %0, %%ds" : : "r"(DATA0)); }

static void user_jump_code0(void) { __asm__ volatile("ljmp %0, $0" : : "i"(CODE0)); }

static void user_out_allowed(void) {
    outb(0x80, 0);
    LEAVE_USER();
}

static void user_out_denied(void) {
    outb(0x81, 0);
    LEAVE_USER();
}

static void user_out_wide(void) {
    __asm__ volatile("outw %%ax, $0x80" : : "a"(0));
    LEAVE_USER();
}

static void user_out_odd_port(void) {
    outb(0x81, 0);
    LEAVE_USER();
}

static volatile uint32_t user_flags;

static void user_popf(void) {
    uint32_t flags;
    __asm__ volatile("push $0x3247\n popf\n pushf\n pop %0" : "=r"(flags) : : "cc");
    user_flags = flags;
    LEAVE_USER();
}

static volatile uint32_t user_stack_change;

static void user_call_gate(void) {
    uint32_t before, after;
    __asm__ volatile("mov %%esp, %0\n push $0x2222\n push $0x1111\n lcall %2, $0\n mov %%esp, %1"
                     : "=&r"(before), "=&r"(after)
                     : "i"(GATE | 3)
                     : "eax", "edx", "memory");
    user_stack_change = before - after;
    LEAVE_USER();
}

static uint32_t in_user(void (*function)(void), uint32_t eflags) {
    return (uint32_t)CATCH(enter_user(function, eflags));
}

static volatile uint32_t returned_cs;

static int return_check(struct trap* frame) {
    returned_cs = frame->cs;
    return frame->vector == 0x21; // software interrupt: go on behind it
}

void check_gates(void) {
    const uint32_t flags = 0x2;
    check("user mode and back", in_user(user_nothing, flags), 0x80);
    check("user CS in the frame", trap.cs, CODE3);
    check("user SS in the frame", trap.ss, DATA3);
    check("HLT in user mode", in_user(user_hlt, flags), 13);
    check("its error code", trap.error, 0);
    check("its EIP", trap.eip, (uint32_t)user_hlt);
    check("its RF", trap.eflags & 0x10000, 0x10000);
    check("CLI with IOPL 0", in_user(user_cli, flags), 13);
    check("MOV from CR0 in user mode", in_user(user_cr0, flags), 13);
    check("INT to a privileged gate", in_user(user_gate_32, flags), 13);
    check("its error code", trap.error, 0x20 * 8 + 2);
    check("INT3 to a user gate", in_user(user_int3, flags), 3);
    check("its EIP is behind it", trap.eip, (uint32_t)user_int3 + 1);
    check("privileged data in user mode", in_user(user_load_data0, flags), 13);
    check("its error code", trap.error, DATA0);
    check("privileged code in user mode", in_user(user_jump_code0, flags), 13);
    check("its error code", trap.error, CODE0);
    check("POPF in user mode", in_user(user_popf, flags | 0x200), 0x80);
    check("changes neither IF nor IOPL", user_flags & 0x3FD7, 0x0247 & 0x3FD7);

    tss.io_bits[0x81 / 8] |= 1 << (0x81 % 8);
    check("allowed port", in_user(user_out_allowed, flags), 0x80);
    check("denied port", in_user(user_out_denied, flags), 13);
    check("word port half denied", in_user(user_out_wide, flags), 13);
    check("denied port with IOPL 3", in_user(user_out_odd_port, flags | 0x3000), 0x80);

    set_descriptor(GATE, gate(0xC, CODE0, (uint32_t)gate_target, 3, 2));
    check("call gate from user mode", in_user(user_call_gate, flags), 0x80);
    check("return CS on the inner stack", gate_frame[1], CODE3);
    check("first parameter", gate_frame[2], 0x1111);
    check("second parameter", gate_frame[3], 0x2222);
    check("inner SS", gate_ss, DATA0);
    check("far return released the parameters", user_stack_change, 0);
    set_descriptor(GATE, gate(0xC, CODE0, (uint32_t)gate_target, 0, 2));
    check("privileged call gate", in_user(user_call_gate, flags), 13);
    check("its error code", trap.error, GATE);
    set_descriptor(GATE, gate(0xC, DATA0, (uint32_t)gate_target, 3, 2));
    check("call gate to data", in_user(user_call_gate, flags), 13);
    check("its error code", trap.error, DATA0);
    set_descriptor(GATE, gate(0xC, CODE0, (uint32_t)gate_target, 3, 2) & ~(1ull << 47));
    check("absent call gate", in_user(user_call_gate, flags), 11);
    check("its error code", trap.error, GATE);
    const uint32_t ss0 = tss.ss0;
    tss.ss0 = DATA3;
    set_descriptor(GATE, gate(0xC, CODE0, (uint32_t)gate_target, 3, 2));
    tss.ss0 = ss0;

    on_trap = return_check;
    __asm__ volatile("int $0x21");
    on_trap = 0;
    check("INT without a change of privilege", returned_cs & 0xFFFF, CODE0);
    check("divide error", (uint32_t)CATCH(__asm__ volatile("div %0" : : "r"(0), "a"(1), "d"(0) : "cc")), 0);
    check("invalid opcode", (uint32_t)CATCH(__asm__ volatile("ud2")), 6);
    check("bound", (uint32_t)CATCH(({
              static const int limits[2] = {1, 5};
              __asm__ volatile("bound %0, %1" : : "r"(7), "m"(limits));
          })),
          5);
    check("overflow",
          (uint32_t)CATCH(__asm__ volatile("mov $0x7fffffff, %%eax\n inc %%eax\n into" : : : "eax", "cc")),
          4);
}
