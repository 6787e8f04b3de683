#include "modes.h"

void start_kernel(void) {
    begin_reports();
    make_tables();
    outb(0x21, 0xFF); // no interrupts from devices
    outb(0xA1, 0xFF);
    check_segments();
    check_gates();
    check_tasks();
    check_v86();
    check_real();
    check_paging();
    check_debug();
    check_long();
    note(failures == 0 ? "all is well" : "something is wrong");
    outb(0xF4, failures == 0 ? 0 : 1);
}
