# void visit_long_mode(void): from 32-bit protected mode without paging to 64-bit mode and back; what was seen goes to
# long_result. Page tables, IDT and TSS are made by long.c.
        .set CODE0, 0x08
        .set DATA0, 0x10
        .set CODE64, 0x50
        .set TSS64, 0x90

        .macro record index, register
        mov \register, long_result + 8 * \index(%rip)
        .endm

        .section .text
        .code32
        .globl visit_long_mode
visit_long_mode:
        pusha
        mov %esp, saved_esp
        mov %cr4, %eax
        or $0x20, %eax          # PAE
        mov %eax, %cr4
        mov $long_pml4, %eax
        mov %eax, %cr3
        mov $0xC0000080, %ecx   # EFER: LME, SCE
        rdmsr
        or $0x101, %eax
        wrmsr
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        rdmsr
        mov %eax, long_result   # LMA is set, the code still 32-bit
        ljmp $CODE64, $1f

        .code64
1:      lidt long_idt_pointer(%rip)
        mov $TSS64, %eax
        ltr %ax
        mov $DATA0, %eax
        mov %eax, %ss
        lea long_stack_top(%rip), %rsp

        # An interrupt aligns the stack.
        sub $3, %rsp
        record 1, %rsp
        int $0x40
        record 2, %rsp          # as before
        lea long_stack_top(%rip), %rsp

        # Faults: the handlers resume at R15.
        lea 1f(%rip), %r15
        ud2                     # on its own stack
1:      mov %rbx, long_result + 8 * 8(%rip)
        lea 1f(%rip), %r15
        mov $0x800000000000, %rax
        mov (%rax), %rax        # not canonical
1:      mov %rbx, long_result + 8 * 9(%rip)
        lea 1f(%rip), %r15
        mov $0x7F0012345678, %rax
        mov %rax, (%rax)        # not mapped
1:      mov %rbx, long_result + 8 * 10(%rip)
        mov %r14, long_result + 8 * 11(%rip) # its error code
        mov %cr2, %rax
        record 12, %rax
        lea 1f(%rip), %r15
        mov $0x800000000000, %rax
        push %rax
        ret                     # to a not canonical address
1:      mov %rbx, long_result + 8 * 13(%rip)
        lea long_stack_top(%rip), %rsp

        # 32-bit operations clear the upper halves.
        mov $-1, %rax
        mov %eax, %eax
        record 14, %rax

        # Segment bases.
        mov $0xC0000101, %ecx   # GS
        mov $long_result, %eax
        xor %edx, %edx
        wrmsr
        mov $0xC0000102, %ecx   # kernel GS
        mov $0xFFFF8000, %edx
        wrmsr
        movq $0x77, %gs:8 * 15
        swapgs
        mov $0xC0000101, %ecx
        rdmsr
        mov %edx, long_result + 8 * 16(%rip)
        swapgs

        # Task priority.
        mov $5, %eax
        mov %rax, %cr8
        mov %cr8, %rbx
        record 17, %rbx
        xor %eax, %eax
        mov %rax, %cr8

        # To privilege 3 and back.
        mov $0xC0000081, %ecx   # STAR
        xor %eax, %eax
        mov $0x004B0050, %edx   # SYSRET: 64-bit CS 5Bh, SS 53h, 32-bit CS 4Bh; SYSCALL: CS 50h, SS 58h
        wrmsr
        mov $0xC0000082, %ecx   # LSTAR
        mov $system_call, %eax
        xor %edx, %edx
        wrmsr
        mov $0xC0000084, %ecx   # FMASK
        mov $0x40, %eax         # ZF
        wrmsr
        mov $0x23, %eax         # a data segment that privilege 3 may keep
        mov %eax, %ds
        mov $user, %ecx
        mov $0x2, %r11d
        sysretq
user:   mov %cs, %eax
        record 18, %rax
        mov %ss, %eax
        record 19, %rax
        xor %eax, %eax          # sets ZF
        stc
        syscall
        ud2
system_call:
        mov %cs, %eax
        record 20, %rax
        mov %ss, %eax
        record 21, %rax
        pushfq
        pop %rax
        record 22, %rax
        record 23, %rcx
        record 24, %r11
        lea long_stack_top(%rip), %rsp

        # IRET to 32-bit code at privilege 3, back by an interrupt.
        push $0x23
        lea long_user_stack_top(%rip), %rax
        push %rax
        push $2
        push $0x1B
        lea user32(%rip), %rax
        push %rax
        iretq
        .code32
user32: mov $0x12345678, %eax
        push %eax               # four bytes
        mov %esp, long_result + 8 * 25
        int $0x80               # does not come back
        .code64
        .globl long_interrupt_80
long_interrupt_80:
        mov 8(%rsp), %rax
        record 26, %rax         # CS
        mov 24(%rsp), %rax
        record 27, %rax         # RSP
        mov %ss, %eax
        record 28, %rax
        mov %rsp, %rax
        record 29, %rax
        lea long_stack_top(%rip), %rsp
        mov $DATA0, %eax
        mov %eax, %ss

        # Compatibility mode at privilege 0; an interrupt there has a 64-bit handler.
        push $CODE0
        lea 1f(%rip), %rax
        push %rax
        lretq
        .code32
1:      int $0x40
        mov %cs, %eax
        mov %eax, long_result + 8 * 30
        ljmp $CODE64, $1f
        .code64
1:      mov $1, %eax
        record 31, %rax

        # Leave: compatibility mode, then without paging.
        push $CODE0
        lea 1f(%rip), %rax
        push %rax
        lretq
        .code32
1:      mov %cr0, %eax
        and $0x7FFFFFFF, %eax
        mov %eax, %cr0
        mov $0xC0000080, %ecx
        rdmsr
        mov %eax, long_result + 8 * 32
        and $~0x100, %eax
        wrmsr
        mov %cr4, %eax
        and $~0x20, %eax
        mov %eax, %cr4
        mov $DATA0, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov saved_esp, %esp
        popa
        ret

        .code64
        .globl long_interrupt_40, long_fault_6, long_fault_13, long_fault_14
long_interrupt_40:
        push %rax
        lea 8(%rsp), %rax
        record 3, %rax          # the stack pointer in the handler
        mov 8(%rsp), %rax
        record 4, %rax          # RIP
        mov 16(%rsp), %rax
        record 5, %rax          # CS
        mov 32(%rsp), %rax
        record 6, %rax          # RSP
        mov 40(%rsp), %rax
        record 7, %rax          # SS
        pop %rax
        iretq
long_fault_6:
        mov $6, %ebx
        mov %rsp, long_result + 8 * 33(%rip)
        mov %r15, (%rsp)
        iretq
long_fault_13:
        mov $13, %ebx
        jmp 1f
long_fault_14:
        mov $14, %ebx
1:      pop %r14
        mov %r15, (%rsp)
        iretq

        .section .bss, "aw", @nobits
        .align 16
        .skip 4096
        .globl long_stack_top, long_ist_top, long_rsp0_top, long_user_stack_top
long_stack_top:
        .skip 4096
long_ist_top:
        .skip 4096
long_rsp0_top:
        .skip 4096
long_user_stack_top:
saved_esp: .skip 4
        .section .note.GNU-stack, "", @progbits
