// Task switches: jump, call and return, gate, trap bit, a double fault on a broken stack.
#include "modes.h"

static uint8_t task_stack[4096], fault_stack[4096];
static volatile uint32_t steps, seen_tr, seen_flags;

static uint32_t task_register(void) {
    uint32_t value = 0;
    __asm__("str %w0" : "+r"(value));
    return value;
}

static void called_task(void) {
    for (;;) {
        ++steps;
        seen_tr = task_register();
        uint32_t flags;
        __asm__ volatile("pushf\n pop %0" : "=r"(flags));
        seen_flags = flags;
        __asm__ volatile("iret"); // to the caller; the next call goes on behind it
    }
}

static void jumped_task(void) {
    for (;;) {
        steps += 0x100;
        seen_tr = task_register();
        __asm__ volatile("ljmp %0, $0" : : "i"(TSS));
    }
}

static void make_task(struct tss* task, void (*entry)(void), uint8_t* stack_end) {
    task->eip = (uint32_t)entry;
    task->eflags = 2;
    task->esp = (uint32_t)stack_end;
    task->cs = CODE0;
    task->ss = task->ds = task->es = DATA0;
    task->fs = task->gs = task->ldt = 0;
    task->cr3 = read_cr3();
    task->io_map = sizeof *task;
    task->trap = 0;
}

static uint32_t access_of(unsigned selector) {
    uint32_t value = 0;
    __asm__("lar %1, %0" : "+r"(value) : "r"(selector) : "cc");
    return value >> 8 & 0xFF;
}

static void jump_task(void) { __asm__ volatile("ljmp %0, $0" : : "i"(TSS2) : "memory"); }

static void call_task(void) { __asm__ volatile("lcall %0, $0" : : "i"(TSS2) : "memory"); }

static void call_gate(void) { __asm__ volatile("lcall %0, $0" : : "i"(TASK_GATE) : "memory"); }

// Tasks of their own, whose stack begins with an error code.
uint32_t fault_error, fault_eip, resume_eip;

__attribute__((naked)) static void serve_fault(void) {
    __asm__ volatile("pop fault_error\n ljmp %0, $0" : : "i"(TSS));
}

__attribute__((naked)) static void serve_double_fault(void) {
    __asm__ volatile("pop fault_error\n mov tss + 0x20, %eax\n mov %eax, fault_eip\n"
                     "mov resume_eip, %eax\n mov %eax, tss + 0x20\n iret");
}

static void provoke_double_fault(void) {
    __asm__ volatile("movl $1f, resume_eip\n div %0\n 1:" : : "c"(0), "a"(1), "d"(0) : "cc", "memory");
}

void check_tasks(void) {
    make_task(&tss2, called_task, task_stack + sizeof task_stack);
    call_task();
    check("task called", steps, 1);
    check("its task register", seen_tr, TSS2);
    check("its NT", seen_flags & 0x4000, 0x4000);
    check("its back link", tss2.link, TSS);
    check("back in the first task", task_register(), TSS);
    check("CR0.TS is set", read_cr0() & 8, 8);
    __asm__ volatile("clts");
    call_task();
    check("task called again goes on behind its IRET", steps, 2);
    check("it is available again", access_of(TSS2), 0x89);
    check("the first one is busy", access_of(TSS), 0x8B);
    call_gate();
    check("task called by its gate", steps, 3);

    make_task(&tss2, jumped_task, task_stack + sizeof task_stack);
    steps = 0;
    jump_task();
    check("task jumped to and back", steps, 0x100);
    check("NT is clear", seen_flags & 0x4000, 0x4000);
    check("its task register", seen_tr, TSS2);

    check("jump to the running task", (uint32_t)CATCH(__asm__ volatile("ljmp %0, $0" : : "i"(TSS))), 13);
    check("its error code", trap.error, TSS);
    set_descriptor(TSS2, segment((uint32_t)&tss2, 0x66, 0x89, 0));
    check("TSS too small", (uint32_t)CATCH(jump_task()), 10);
    check("its error code", trap.error, TSS2);
    set_descriptor(TSS2, segment((uint32_t)&tss2, 0x67, 0x09, 0));
    check("TSS absent", (uint32_t)CATCH(jump_task()), 11);
    set_descriptor(TSS2, segment((uint32_t)&tss2, sizeof tss2 - 1, 0x89, 0));

    // Faults of the new task reach the task that serves #TS.
    make_task(&tss2, jumped_task, task_stack + sizeof task_stack);
    make_task(&fault_tss, serve_fault, fault_stack + sizeof fault_stack);
    const uint64_t usual_gate = get_gate(10);
    set_gate(10, gate(5, FAULT_TSS, 0, 0, 0));
    tss2.ss = CODE0;
    jump_task();
    check("#TS in the new task: error code", fault_error, CODE0);
    check("its back link", fault_tss.link, TSS2);
    set_gate(10, usual_gate);

    // A divide error whose gate is absent: #NP, so #DF, which has a task of its own.
    make_task(&fault_tss, serve_double_fault, fault_stack + sizeof fault_stack);
    set_descriptor(FAULT_TSS, segment((uint32_t)&fault_tss, sizeof fault_tss - 1, 0x89, 0));
    const uint64_t divide_gate = get_gate(0), double_gate = get_gate(8);
    set_gate(0, divide_gate & ~(1ull << 47));
    set_gate(8, gate(5, FAULT_TSS, 0, 0, 0));
    fault_error = 0xBAD;
    provoke_double_fault();
    check("double fault by a task gate: error code", fault_error, 0);
    check("it found the divide instruction", *(const uint16_t*)fault_eip, 0xF1F7);
    check("it came from the first task", fault_tss.link, TSS);
    set_gate(0, divide_gate);
    set_gate(8, double_gate);
    __asm__ volatile("clts");
}
