// Single steps, breakpoints, watchpoints, guarded debug registers.
#include "modes.h"

static uint32_t read_dr6(void) {
    uint32_t v;
    __asm__ volatile("mov %%dr6, %0" : "=r"(v));
    return v;
}

static void write_dr6(uint32_t v) { __asm__ volatile("mov %0, %%dr6" : : "r"(v)); }

static void write_dr7(uint32_t v) { __asm__ volatile("mov %0, %%dr7" : : "r"(v)); }

static void write_dr0(const volatile void* p) { __asm__ volatile("mov %0, %%dr0" : : "r"(p)); }

static volatile unsigned steps;
static volatile uint32_t last_dr6, eips[32];

static int count_steps(struct trap* frame) {
    if (frame->vector != 1) {
        return 0;
    }
    last_dr6 = read_dr6();
    write_dr6(0xFFFF0FF0);
    if (steps < 32) {
        eips[steps] = frame->eip;
    }
    ++steps;
    return 1;
}

static int pass_breakpoint(struct trap* frame) {
    const int mine = count_steps(frame);
    frame->eflags |= 0x10000; // RF: go on behind it
    return mine;
}

__attribute__((noinline, noclone)) static void step_over_breakpoint(void) {
    __asm__ volatile("nop\n break_here: nop\n nop");
}

extern char step_first[], step_last[], break_here[], int1_here[];
static volatile uint32_t watched;

void check_debug(void) {
    on_trap = count_steps;
    steps = 0;
    __asm__ volatile("pushf\n orl $0x100, (%%esp)\n popf\n"
                     "step_first: nop\n mov %%eax, %%eax\n mov %%ss, %%edx\n mov %%edx, %%ss\n nop\n"
                     "push %%ecx\n mov $3, %%ecx\n xor %%edi, %%edi\n rep lodsb\n pop %%ecx\n"
                     "pushf\n andl $~0x100, (%%esp)\n popf\n step_last: nop"
                     :
                     : "S"(&watched)
                     : "eax", "edx", "ecx", "edi", "cc", "memory");
    check("steps: DR6.BS", last_dr6 & 0xF00F, 0x4000);
    check("steps: the first is behind the NOP", eips[0], (uint32_t)step_first + 1);
    check("steps: none between MOV SS and the next", eips[3] - eips[2], 3);
    check("steps: one for each of REP's rounds", eips[7] == eips[8] && eips[6] == eips[7], 1);
    check("steps: the last is behind POPF", eips[(steps - 1) & 31], (uint32_t)step_last);

    steps = 0;
    on_trap = pass_breakpoint;
    write_dr0(break_here);
    write_dr7(0x401);
    for (int i = 0; i < 3; ++i) {
        step_over_breakpoint();
    }
    check("breakpoint: met each time", steps, 3);
    check("breakpoint: before the instruction", eips[0], (uint32_t)break_here);
    check("breakpoint: DR6.B0", last_dr6 & 0xF00F, 1);

    steps = 0;
    on_trap = count_steps;
    write_dr0(&watched);
    write_dr7(0x401 | 0xD << 16); // four bytes, writes
    (void)watched;
    check("watchpoint: not for reads", steps, 0);
    watched = 1;
    check("watchpoint: for writes", steps, 1);
    ((volatile uint8_t*)&watched)[3] = 1;
    check("watchpoint: for a part", steps, 2);
    write_dr7(0x401 | 0xF << 16); // reads too
    (void)watched;
    check("watchpoint: for reads", steps, 3);

    write_dr7(0x2400); // GD
    steps = 0;
    on_trap = 0;
    check("guard: MOV from DR6", (uint32_t)CATCH(read_dr6()), 1);
    check("guard: DR6.BD", read_dr6() & 0x2000, 0x2000);
    write_dr7(0x400);
    write_dr6(0xFFFF0FF0);

    check("INT1", (uint32_t)CATCH(__asm__ volatile("int1_here: .byte 0xF1")), 1);
    check("INT1: a trap", trap.eip, (uint32_t)int1_here + 1);
    check("INT1: no cause in DR6", read_dr6() & 0xF00F, 0);
    write_cr4(read_cr4() | 8); // DE
    check("DR4 with DE", (uint32_t)CATCH(__asm__ volatile("mov %%dr4, %%eax" : : : "eax")), 6);
    write_cr4(read_cr4() & ~8u);
}
