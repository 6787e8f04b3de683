// Real-address mode: there and back, its interrupts, and segments that keep large limits.
#include "modes.h"

uint32_t real_result[8];

// Runs in 16-bit code at an address below 64 KiB x 16; copied to 0x8000.
extern const char real_begin[], real_end[];
__asm__(".pushsection .rodata\n .code16\n"
        "real_begin:\n"                                                 // 16-bit protected mode; EBX: old CR0
        "mov $0x40, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov %ax, %es\n" // 64 KiB limits
        "mov $0x10, %ax\n mov %ax, %fs\n"                               // 4 GiB, kept: unreal mode
        "mov %cr0, %eax\n and $0x7FFFFFFE, %eax\n mov %eax, %cr0\n"
        "ljmp $0x800, $(1f - real_begin)\n"
        "1: xor %ax, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov %ax, %fs\n mov $0x7000, %sp\n"
        "lidtl %cs:(idt16 - real_begin)\n"
        "movw $(handler - real_begin), 0x60*4\n movw $0x800, 0x60*4+2\n"
        "movl $0, 0x7F00\n stc\n int $0x60\n"
        "pushf\n pop %ax\n mov %ax, 0x7F08\n" // CF set by the handler's IRET frame
        "mov %sp, 0x7F0C\n"
        "mov $0x100000, %ecx\n movl %fs:(%ecx), %eax\n mov %eax, 0x7F10\n" // beyond 64 KiB
        "movw $(over - real_begin), 13*4\n movw $0x800, 13*4+2\n"
        "mov $0x10000, %ecx\n movb (%ecx), %al\n" // #GP
        "after:\n"
        "mov $0xFFFF, %ax\n mov %ax, %es\n mov %es:0x10, %al\n mov 0x0, %ah\n mov %ax, 0x7F18\n" // 1 MiB
        "mov %ebx, %eax\n mov %eax, %cr0\n"
        "ljmpl $0x08, $real_back\n"
        "handler: mov %sp, %bp\n mov (%bp), %ax\n mov %ax, 0x7F00\n mov 4(%bp), %ax\n mov %ax, 0x7F02\n"
        "pushf\n pop %ax\n mov %ax, 0x7F04\n iret\n"
        "over: mov %sp, %bp\n mov (%bp), %ax\n mov %ax, 0x7F14\n add $6, %sp\n jmp after\n"
        "idt16: .word 0x3FF\n .long 0\n"
        "real_end:\n .code32\n .popsection\n"
        ".globl real_back\n");

__attribute__((noinline)) static void visit_real_mode(void) {
    struct __attribute__((packed)) {
        uint16_t limit;
        uint32_t base;
    } idtr;

    __asm__ volatile(
        "sidt %0\n push %%ebp\n pusha\n mov %%esp, %%esi\n mov %%esi, real_result\n mov %%cr0, %%ebx\n"
        "ljmp %1, $0x8000\n"
        "real_back: mov %2, %%eax\n mov %%eax, %%ds\n mov %%eax, %%es\n mov %%eax, %%ss\n"
        "xor %%eax, %%eax\n mov %%eax, %%fs\n mov real_result, %%esp\n popa\n pop %%ebp\n lidt %0"
        : "+m"(idtr)
        : "i"(CODE16), "i"(DATA0)
        : "memory");
}

static uint16_t word_at(uint32_t address) { return *(volatile uint16_t*)address; }

void check_real(void) {
    for (const char* from = real_begin; from != real_end; ++from) {
        ((volatile char*)0x8000)[from - real_begin] = *from;
    }
    *(volatile uint32_t*)0x100000 = 0x600DF00D;
    *(volatile uint8_t*)0 = 0x5A;
    visit_real_mode();
    check("real: flags pushed by INT have CF", word_at(0x7F02) & 1, 1);
    check("real: IF and TF are clear in the handler", word_at(0x7F04) & 0x300, 0);
    check("real: CF after IRET", word_at(0x7F08) & 1, 1);
    check("real: SP after IRET", word_at(0x7F0C), 0x7000);
    check("real: FS keeps its limit of 4 GiB", *(volatile uint32_t*)0x7F10, 0x600DF00D);
    check("real: limit of 64 KiB", word_at(0x7F14) != 0, 1);
    check("real: FFFF:0010 is 1 MiB", word_at(0x7F18) & 0xFF, 0x0D);
    check("protected mode again", read_cr0() & 1, 1);
}
