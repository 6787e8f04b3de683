// Segment loads, limits, types; the instructions that ask about descriptors.
#include "modes.h"

static void load_fs(unsigned selector) { __asm__ volatile("mov %0, %%fs" : : "r"(selector)); }

static void load_ss(unsigned selector) { __asm__ volatile("mov %0, %%ss" : : "r"(selector)); }

static uint8_t fs_byte(uint32_t offset) {
    uint8_t value;
    __asm__ volatile("movb %%fs:(%1), %0" : "=q"(value) : "r"(offset));
    return value;
}

static void set_fs_byte(uint32_t offset, uint8_t value) {
    __asm__ volatile("movb %1, %%fs:(%0)" : : "r"(offset), "q"(value) : "memory");
}

static int zf_of_verr(unsigned selector) {
    uint8_t zf;
    __asm__("verr %w1\n setz %0" : "=q"(zf) : "r"(selector) : "cc");
    return zf;
}

static int zf_of_verw(unsigned selector) {
    uint8_t zf;
    __asm__("verw %w1\n setz %0" : "=q"(zf) : "r"(selector) : "cc");
    return zf;
}

static uint32_t rights(unsigned selector) {
    uint32_t value = 0;
    __asm__("lar %1, %0" : "+r"(value) : "r"(selector) : "cc");
    return value & 0xF0FF00;
}

static uint32_t limit(unsigned selector) {
    uint32_t value = 0xBAD;
    __asm__("lsl %1, %0" : "+r"(value) : "r"(selector) : "cc");
    return value;
}

void check_segments(void) {
    static uint8_t bytes[4096] __attribute__((aligned(4096)));
    bytes[0] = 0x11;
    bytes[0x7FF] = 0x22;
    bytes[0xFFF] = 0x33;
    set_descriptor(SMALL, segment((uint32_t)bytes, 0x7FF, 0x91, 4)); // read-only
    set_descriptor(EXPAND_DOWN, segment((uint32_t)bytes, 0x7FE, 0x97, 4));

    check("load of a read-only segment", (uint32_t)CATCH(load_fs(SMALL)), -1u);
    check("first byte", fs_byte(0), 0x11);
    check("last byte", fs_byte(0x7FF), 0x22);
    check("byte behind the limit", (uint32_t)CATCH(fs_byte(0x800)), 13);
    check("its error code", trap.error, 0);
    check("write to a read-only segment", (uint32_t)CATCH(set_fs_byte(0, 1)), 13);
    load_fs(EXPAND_DOWN);
    check("expand-down: first byte above the limit", fs_byte(0x7FF), 0x22);
    check("expand-down: last byte", fs_byte(0xFFF), 0x33);
    check("expand-down: byte at the limit", (uint32_t)CATCH(fs_byte(0x7FE)), 13);
    check("null segment loads", (uint32_t)CATCH(load_fs(0)), -1u);
    check("null segment has no bytes", (uint32_t)CATCH(fs_byte(0)), 13);

    check("absent data segment", (uint32_t)CATCH(load_fs(ABSENT)), 11);
    check("its error code", trap.error, ABSENT);
    check("absent stack segment", (uint32_t)CATCH(load_ss(ABSENT)), 12);
    check("its error code", trap.error, ABSENT);
    check("null stack segment", (uint32_t)CATCH(load_ss(0)), 13);
    check("read-only stack segment", (uint32_t)CATCH(load_ss(SMALL)), 13);
    check("its error code", trap.error, SMALL);
    check("stack segment of another privilege", (uint32_t)CATCH(load_ss(DATA3)), 13);
    check("its error code", trap.error, DATA3 & ~3u);
    check("selector beyond the table", (uint32_t)CATCH(load_fs(0x1000)), 13);
    check("its error code", trap.error, 0x1000);
    __asm__ volatile("lldt %w0" : : "r"(0));
    check("local selector without a table", (uint32_t)CATCH(load_fs(0x0C)), 13);
    check("system segment as data", (uint32_t)CATCH(load_fs(TSS)), 13);

    check("VERR of data", (uint32_t)zf_of_verr(DATA0), 1);
    check("VERW of read-only data", (uint32_t)zf_of_verw(SMALL), 0);
    check("VERW of code", (uint32_t)zf_of_verw(CODE0), 0);
    check("VERR of a TSS", (uint32_t)zf_of_verr(TSS), 0);
    check("LAR of code", rights(CODE0), 0xC09B00);
    check("LAR of a TSS", rights(TSS), 0x008B00);
    check("LAR of a null selector", rights(0), 0);
    check("LSL of small data", limit(SMALL), 0x7FF);
    check("LSL of flat data", limit(DATA0), 0xFFFFFFFF);
    check("LSL of a gate", limit(TASK_GATE), 0xBAD);

    static uint64_t ldt[2];
    ldt[1] = segment((uint32_t)bytes + 0x7FF, 0, 0x93, 4);
    set_descriptor(LDT, segment((uint32_t)ldt, sizeof ldt - 1, 0x82, 0));
    __asm__ volatile("lldt %w0" : : "r"(LDT));
    load_fs(0x0C);
    check("byte through the LDT", fs_byte(0), 0x22);
    check("byte behind a limit of 0", (uint32_t)CATCH(fs_byte(1)), 13);
    __asm__ volatile("lldt %w0" : : "r"(0));
    load_fs(0);
}
