# The way of a small 64-bit kernel from its PVH entry (32-bit, paging off) to start_kernel() in long mode, the lowest
# gigabyte mapped one to one. Sources: Xen's PVH boot specification; SDM volume 3 section 10.8.5.
        .section .note.Xen, "a", @note
        .align 4
        .long 4, 8, 18          # name's size, value's size, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad entry32

        .section .text
        .code32
        .globl entry32
entry32:
        mov $stack_top, %esp
        mov $page_directory, %edi
        mov $0x83, %eax         # present, writable, 2 MiB
        mov $512, %ecx
1:      mov %eax, (%edi)
        add $0x200000, %eax
        add $8, %edi
        loop 1b
        mov $page_tables, %edi
        movl $page_pointers + 3, (%edi)
        movl $page_directory + 3, page_pointers
        mov %edi, %cr3
        mov %cr4, %eax
        or $0x20, %eax          # PAE
        mov %eax, %cr4
        mov $0xc0000080, %ecx   # EFER
        rdmsr
        or $0x100, %eax         # LME
        wrmsr
        mov %cr0, %eax
        or $0x80000001, %eax    # PG, PE
        mov %eax, %cr0
        lgdt gdt_pointer
        ljmp $8, $entry64

        .code64
entry64:
        mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov %ebx, %edi          # the start information, from the loader
        call start_kernel
1:      hlt
        jmp 1b

        .section .data
        .align 8
gdt:    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .word . - gdt - 1
        .quad gdt

        .section .bss, "aw", @nobits
        .align 4096
page_tables:    .skip 4096
page_pointers:  .skip 4096
page_directory: .skip 4096
        .skip 8192
stack_top:
        .section .note.GNU-stack, "", @progbits
