// Lines on the first serial port.
#include "modes.h"

unsigned checks, failures;

static void put(char c) {
    while (!(inb(0x3FD) & 0x20)) {
    }
    outb(0x3F8, (uint8_t)c);
}

static void text(const char* s) {
    for (; *s; ++s) {
        put(*s);
    }
}

static void hex(uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) {
        put("0123456789abcdef"[value >> shift & 15]);
    }
}

void begin_reports(void) {
    outb(0x3FB, 3); // 8 bits, no parity
    outb(0x3F9, 0);
}

void note(const char* s) {
    text(s);
    put('\n');
}

void check(const char* name, uint32_t got, uint32_t wanted) {
    ++checks;
    text(got == wanted ? "ok " : "FAIL ");
    text(name);
    if (got != wanted) {
        ++failures;
        text(": got ");
        hex(got);
        text(", wanted ");
        hex(wanted);
    }
    put('\n');
}
