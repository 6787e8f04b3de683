// A kernel for the debugger's tests: counts, and ends with the debug-exit port when someone sets `done`.
volatile unsigned long counter;
volatile unsigned long watched;
volatile int done;

__attribute__((noinline)) void tick(unsigned long step) { counter += step; }

void start_kernel(void) {
    while (!done) {
        tick(1);
        if (counter == 1000) {
            watched = counter;
        }
    }
    __asm__ volatile("outb %0, $0xf4" : : "a"((unsigned char)21)); // ends the run with (21 << 1) | 1 = 43
}
