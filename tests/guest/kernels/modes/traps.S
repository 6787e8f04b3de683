# One stub a vector: pushes its number (and an error code where the processor has none), saves all registers, calls
# take_trap, and returns where it says.
        .section .text
        .macro stub vector
        .align 16
        .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17)
        .else
        push $0
        .endif
        push $\vector
        jmp common
        .endm

        .globl trap_stubs
        .align 16
trap_stubs:
        .set number, 0
        .rept 256
        .altmacro
        stub %number
        .noaltmacro
        .set number, number + 1
        .endr

common: pusha
        push %ds
        push %es
        push %fs
        push %gs
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %esp, %eax
        push %eax
        call take_trap
        add $4, %esp
        pop %gs
        pop %fs
        pop %es
        pop %ds
        popa
        add $8, %esp
        iret

# void enter_user(void (*function)(void), uint32_t eflags)
        .globl enter_user
enter_user:
        mov 4(%esp), %eax
        mov 8(%esp), %ecx
        mov %esp, tss + 4
        mov $0x23, %edx
        mov %edx, %ds
        mov %edx, %es
        push $0x23
        push $user_stack_top
        push %ecx
        push $0x1B
        push %eax
        iret

# The other side of a call gate with two parameters: leaves what it finds in gate_frame and returns.
        .globl gate_target
gate_target:
        mov %ds, %edx
        mov $0x10, %eax
        mov %eax, %ds
        mov %ss, %eax
        mov %eax, gate_ss
        mov 0(%esp), %eax       # EIP
        mov %eax, gate_frame
        mov 4(%esp), %eax       # CS
        mov %eax, gate_frame + 4
        mov 8(%esp), %eax       # the parameters
        mov %eax, gate_frame + 8
        mov 12(%esp), %eax
        mov %eax, gate_frame + 12
        mov %edx, %ds           # or it would come back null
        lret $8

        .section .bss, "aw", @nobits
        .globl gate_frame, gate_ss
        .align 16
gate_frame: .skip 16
gate_ss: .skip 4
        .globl user_stack_top
        .align 16
        .skip 4096
user_stack_top:
        .section .note.GNU-stack, "", @progbits
