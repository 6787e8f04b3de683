// Paging: 32-bit and PAE, page faults, rights, accessed and dirty bits, large and global pages, no-execute.
#include "modes.h"

static uint32_t directory[1024] __attribute__((aligned(4096))), table[1024] __attribute__((aligned(4096)));
static uint64_t pointers[4] __attribute__((aligned(32))),
    pae_directory[4][512] __attribute__((aligned(4096))), pae_table[512] __attribute__((aligned(4096)));
static uint8_t pages[4][4096] __attribute__((aligned(4096)));

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100, WINDOW = 0x40000000 };

static uint8_t read(uint32_t address) { return *(volatile uint8_t*)address; }

static void write(uint32_t address, uint8_t value) { *(volatile uint8_t*)address = value; }

static void invalidate(uint32_t address) { __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory"); }

static void map(unsigned page, uint32_t target, uint32_t bits) {
    table[page] = target | bits;
    invalidate(WINDOW + page * 4096);
}

static void user_read(void) {
    (void)read(WINDOW);
    LEAVE_USER();
}

static void user_write(void) {
    write(WINDOW, 1);
    LEAVE_USER();
}

static void user_read_kernel(void) {
    (void)read(WINDOW + 4096);
    LEAVE_USER();
}

static void check_32bit(void) {
    for (uint32_t i = 0; i < 1024; ++i) {
        directory[i] = i << 22 | PS | P | W | U;
    }
    directory[WINDOW >> 22] = (uint32_t)table | P | W | U;
    map(0, (uint32_t)pages[0], P | W | U);
    map(1, (uint32_t)pages[1], P | W);
    map(2, (uint32_t)pages[2], P | U);
    pages[0][0] = 0xA0;
    pages[1][0] = 0xA1;
    pages[2][0] = 0xA2;
    write_cr4(read_cr4() | 0x10); // PSE
    write_cr3((uint32_t)directory);
    write_cr0(read_cr0() | 0x80000000);

    check("paging: large page", read((uint32_t)&pages[1][0]), 0xA1);
    check("paging: small page", read(WINDOW + 4096), 0xA1);
    check("paging: accessed, not dirty", table[1] & (A | D), A);
    write(WINDOW + 4096, 0xB1);
    check("paging: dirty", table[1] & (A | D), A | D);
    check("paging: the write arrived", pages[1][0], 0xB1);
    check("paging: absent page", (uint32_t)CATCH(read(WINDOW + 5 * 4096 + 7)), 14);
    check("paging: error code", trap.error, 0);
    check("paging: CR2", trap_cr2, WINDOW + 5 * 4096 + 7);
    check("paging: write to an absent page", (uint32_t)CATCH(write(WINDOW + 5 * 4096, 0)), 14);
    check("paging: error code", trap.error, 2);
    check("paging: supervisor writes read-only pages", (uint32_t)CATCH(write(WINDOW + 2 * 4096, 0xB2)), -1u);
    write_cr0(read_cr0() | 0x10000); // WP
    check("paging: but not with WP", (uint32_t)CATCH(write(WINDOW + 2 * 4096, 0xC2)), 14);
    check("paging: error code", trap.error, 3);
    write_cr0(read_cr0() & ~0x10000u);
    check("paging: user reads", (uint32_t)CATCH(enter_user(user_read, 2)), 0x80);
    check("paging: user writes", (uint32_t)CATCH(enter_user(user_write, 2)), 0x80);
    check("paging: user reads a supervisor page", (uint32_t)CATCH(enter_user(user_read_kernel, 2)), 14);
    check("paging: error code", trap.error, 5);
    map(0, (uint32_t)pages[0], P | U);
    check("paging: user writes a read-only page", (uint32_t)CATCH(enter_user(user_write, 2)), 14);
    check("paging: error code", trap.error, 7);
    table[0] = (uint32_t)pages[1] | P | W | U;
    invalidate(WINDOW);
    check("paging: a changed entry after INVLPG", read(WINDOW), 0xB1);

    uint32_t crossing;
    map(0, (uint32_t)pages[0], P | W | U);
    map(1, (uint32_t)pages[2], P | W | U);
    *(uint16_t*)&pages[0][4094] = 0x2211;
    *(uint16_t*)&pages[2][0] = 0x4433;
    crossing = *(volatile uint32_t*)(WINDOW + 4094);
    check("paging: access across pages", crossing, 0x44332211);
    map(1, 0, 0);
    check("paging: across into an absent page", (uint32_t)CATCH(*(volatile uint32_t*)(WINDOW + 4094) = 0),
          14);
    check("paging: CR2 is the second page", trap_cr2, WINDOW + 4096);
    check("paging: nothing was written", *(uint16_t*)&pages[0][4094], 0x2211);
    write_cr0(read_cr0() & ~0x80000000u);
}

static void check_pae(void) {
    const int has_nx = (extended_features() & 1u << 20) != 0;
    for (uint32_t i = 0; i < 4; ++i) {
        pointers[i] = (uint32_t)pae_directory[i] | P;
        for (uint32_t j = 0; j < 512; ++j) {
            pae_directory[i][j] = (uint64_t)(i << 30 | j << 21) | PS | P | W | U;
        }
    }
    pae_directory[WINDOW >> 30][0] = (uint32_t)pae_table | P | W | U;
    pae_table[0] = (uint32_t)pages[0] | P | W | U;
    pae_table[1] = (uint32_t)pages[1] | P | W | U | 1ull << 50; // beyond any physical address here
    pages[0][0] = 0xC3;                                         // RET
    write_cr4((read_cr4() & ~0x10u) | 0x20);
    write_cr3((uint32_t)pointers);
    if (has_nx) {
        uint32_t low, high;
        __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xC0000080));
        __asm__ volatile("wrmsr" : : "a"(low | 0x800), "d"(high), "c"(0xC0000080));
    }
    write_cr0(read_cr0() | 0x80000000);
    check("PAE: small page", read(WINDOW), 0xC3);
    check("PAE: accessed", (uint32_t)pae_table[0] & A, A);
    check("PAE: reserved bit", (uint32_t)CATCH(read(WINDOW + 4096)), 14);
    check("PAE: error code", trap.error, 9);
    check("PAE: execution", (uint32_t)CATCH(((void (*)(void))WINDOW)()), -1u);
    if (has_nx) {
        pae_table[0] |= 1ull << 63;
        invalidate(WINDOW);
        check("PAE: execution of a no-execute page", (uint32_t)CATCH(((void (*)(void))WINDOW)()), 14);
        check("PAE: error code", trap.error, 0x11);
        check("PAE: EIP", trap.eip, WINDOW);
        check("PAE: it can be read", read(WINDOW), 0xC3);
    }
    pointers[3] |= 2;
    check("PAE: reserved bits in a pointer entry", (uint32_t)CATCH(write_cr3((uint32_t)pointers)), 13);
    pointers[3] &= ~2ull;
    write_cr0(read_cr0() & ~0x80000000u);
    write_cr4(read_cr4() & ~0x20u);
}

void check_paging(void) {
    check_32bit();
    if (cpuid(1).edx & 1u << 6) {
        check_pae();
    }
}
