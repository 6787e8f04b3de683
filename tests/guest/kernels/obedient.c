// A kernel that does as it is told: by the words of its command line, then by lines on its serial console. For tests of
// how a machine is started, talked to and ended.
typedef unsigned char byte;

struct start_info { // PVH
    unsigned magic, version, flags, modules;
    unsigned long module_list, command_line;
};

enum { com1 = 0x3F8, debug_console = 0xE9, debug_exit = 0xF4, pvpanic = 0x505, reset_control = 0xCF9,
       power_events = 0x600, power_control = 0x604 };

static void outb(unsigned short port, byte value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static void outw(unsigned short port, unsigned short value) {
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static byte inb(unsigned short port) {
    byte value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static unsigned short inw(unsigned short port) {
    unsigned short value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void put(char c) {
    while (!(inb(com1 + 5) & 0x20)) {
    }
    outb(com1, (byte)c);
}

static void say(const char* text) {
    for (; *text; ++text) {
        put(*text);
    }
    put('\n');
}

static void log_text(const char* text) {
    for (; *text; ++text) {
        outb(debug_console, (byte)*text);
    }
    outb(debug_console, '\n');
}

static char get(void) {
    while (!(inb(com1 + 5) & 1)) {
        __asm__ volatile("pause");
    }
    return (char)inb(com1);
}

static void power_off(void) { outw(power_control, 1 << 13); } // SLP_EN, SLP_TYP of S5 is 0

static void reset(void) { outb(reset_control, 6); }

static void triple_fault(void) {
    struct __attribute__((packed)) { unsigned short limit; unsigned long base; } none = {0, 0};
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void wait_for_power_button(void) {
    say("waiting for the power button");
    while (!(inw(power_events) & 1 << 8)) {
        __asm__ volatile("pause");
    }
    say("the power button was pressed");
    power_off();
}

// Text that follows `name` in `word`, or null.
static const char* argument(const char* word, const char* name) {
    while (*name && *word == *name) {
        ++word, ++name;
    }
    return *name ? 0 : word;
}

static void exit_with(const char* number) {
    unsigned value = 0;
    for (; *number; ++number) {
        value = value * 10 + (unsigned)(*number - '0');
    }
    outb(debug_exit, (byte)value);
}

static void obey(const char* word) {
    const char* rest;
    if ((rest = argument(word, "say="))) {
        say(rest);
    } else if ((rest = argument(word, "log="))) {
        log_text(rest);
    } else if ((rest = argument(word, "exit="))) {
        exit_with(rest);
    } else if (argument(word, "off")) {
        power_off();
    } else if (argument(word, "reset")) {
        reset();
    } else if (argument(word, "panic")) {
        outb(pvpanic, 1);
        reset();
    } else if (argument(word, "fault")) {
        triple_fault();
    } else if (argument(word, "button")) {
        wait_for_power_button();
    } else if (argument(word, "sleep")) {
        __asm__ volatile("cli; hlt");
    } else if (argument(word, "spin")) {
        for (;;) {
        }
    } else if (argument(word, "flood")) {
        for (;;) {
            say("flood");
        }
    } else if (*word) {
        say("what?");
    }
}

// One word or line into `to`; where the next begins.
static const char* take_word(const char* from, char* to) {
    while (*from && *from != ' ') {
        *to++ = *from++;
    }
    *to = 0;
    return *from ? from + 1 : from;
}

static void take_line(char* to, unsigned size) {
    char c;
    while ((c = get()) != '\n' && c != '\r') {
        if (size > 1) {
            *to++ = c;
            --size;
        }
    }
    *to = 0;
}

void start_kernel(const struct start_info* info) {
    static char word[2048];
    const char* line = (const char*)info->command_line;
    while (line && *line) {
        line = take_word(line, word);
        obey(word);
    }
    say("ready");
    for (;;) {
        take_line(word, sizeof word);
        obey(word);
    }
}
