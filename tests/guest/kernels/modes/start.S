# Entry by PVH or Multiboot: 32-bit protected mode, flat segments, paging off.
        .section .note.Xen, "a", @note
        .align 4
        .long 4, 4, 18          # name's size, value's size, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long entry32

        .section .text
        .align 4
        .long 0x1BADB002, 0, -0x1BADB002 # Multiboot 1
        .globl entry32
entry32:
        mov $stack_top, %esp
        call start_kernel
1:      hlt
        jmp 1b

        .section .bss, "aw", @nobits
        .align 16
        .skip 16384
stack_top:
        .section .note.GNU-stack, "", @progbits
