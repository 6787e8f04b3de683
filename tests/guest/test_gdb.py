"""Debian's gdb drives a machine by its --gdb stub."""
import os
import re
import signal
import subprocess
import time
import unittest

from command import KERNELS, Terminal
from guest import ENGINE, GUESTS, PATIENCE, STRATA, Console, Folder, Guest, run_gdb

KERNEL = KERNELS / "counting"


class Debugger(unittest.TestCase):
    def debug(self, commands, options=(), kernel=KERNEL, symbols=KERNEL):
        """(gdb's output, the machine's exit status) of a scripted session; the machine waits for its debugger."""
        with Folder() as folder:
            socket = folder / "gdb"
            machine = subprocess.Popen([STRATA, "run", *ENGINE, "--kernel", kernel, "--net", "none", "--gdb",
                                        f"unix:{socket}", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                while not socket.exists() and machine.poll() is None:
                    pass
                output = run_gdb(socket, commands.splitlines(), symbols)
                try:
                    status = machine.wait(10)
                except subprocess.TimeoutExpired:
                    status = None # it runs on
                return output, status
            finally:
                machine.kill()
                machine.communicate()

    def test_breakpoint_registers_memory(self):
        output, status = self.debug("break start_kernel\ncontinue\ndelete\nbreak tick\ncontinue\nprint $rdi\n"
                                    "print counter\nset var counter = 500\ncontinue\nprint counter\nprint $cr0 & 1\n"
                                    "set $rdi = 100\nfinish\nprint counter\nset var done = 1\ndelete\ncontinue\n")
        self.assertIn("Breakpoint 1, start_kernel", output)
        self.assertIn("Breakpoint 2, tick (step=", output)
        for line in ("$1 = 1", "$2 = 0", "$3 = 501", "$4 = 1", "$5 = 601"):
            self.assertIn(line + "\n", output)
        self.assertIn("exited with code 053", output) # octal 43
        self.assertEqual(status, 43)

    def test_single_steps(self):
        output, _ = self.debug("break tick\ncontinue\nx/i $rip\nstepi\nprint counter\nstepi\nstepi\n"
                               "print counter\nbacktrace\nkill\n")
        self.assertIn("=> 0x", output)
        self.assertIn("$1 = 0\n", output) # the increment is a load, an addition and a store
        self.assertIn("$2 = 1\n", output)
        self.assertIn("start_kernel ()", output)

    def test_watchpoint(self):
        output, _ = self.debug("watch watched\ncontinue\nprint counter\nrwatch done\ncontinue\nkill\n")
        self.assertIn("Old value = 0\nNew value = 1000", output)
        self.assertIn("$1 = 1000\n", output)
        self.assertRegex(output, r"Hardware read watchpoint 2: done\s+Value = 0")

    def test_threads_are_processors(self):
        output, _ = self.debug("info threads\nthread 2\nprint $cs\nkill\n", ["--cpus", "2"])
        self.assertRegex(output, r"\* 1 +Thread 1")
        self.assertRegex(output, r"  2 +Thread 2")

    def test_kill_ends_the_machine(self):
        output, status = self.debug("break start_kernel\ncontinue\nkill\n")
        self.assertIsNotNone(status)

    def test_detach_lets_it_run(self):
        output, status = self.debug("break start_kernel\ncontinue\nset var done = 1\ndetach\n")
        self.assertEqual(status, 43)

    def test_debian_kernel_at_an_address(self):
        # Debian's kernel has no symbols here; its decompressor jumps to the kernel proper, whose entry is where its
        # mapping says. A breakpoint there, by a hardware-assisted gdb command, is met before the first message.
        cloud = GUESTS / "cloud"
        output, _ = self.debug("print $rip\nhbreak *$rip\nstepi\nstepi\nprint $rip != 0\nx/4i $rip\nkill\n",
                               ["--initrd", cloud / "initrd.gz"], kernel=cloud / "vmlinuz", symbols=None)
        self.assertIn("$2 = 1\n", output)


class Gdb(Terminal):
    """gdb at its prompt, on a terminal."""

    def __init__(self, target, symbols=None):
        super().__init__(["gdb", "-nx", "-q", "-ex", "set pagination off", "-ex", "set confirm off", "-ex",
                          "set style enabled off", "-ex", "set width 0", *([symbols] if symbols else [])],
                         env={**os.environ, "TERM": "dumb"})
        self.expect(PROMPT)
        self.check(f"target remote {target}")

    def check(self, command):
        """What a command printed until gdb's next prompt."""
        self.type(command + "\n")
        return self.answer()

    def answer(self):
        start = self.position
        prompt = self.expect(PROMPT)
        return self.log[start : prompt.start()]

    def go(self, command="continue"):
        """The machine runs on, and gdb waits for it."""
        self.type(command + "\n")
        self.expect("^Continuing")

    def interrupt(self):
        self.type("\x03")
        return self.answer()


PROMPT = r"^\(gdb\) $"


class Interactive(unittest.TestCase):
    """gdb as a person uses it, beside the machine's own console."""

    def setUp(self):
        folder = Folder()
        self.folder = folder.__enter__()
        self.addCleanup(folder.__exit__)

    def start(self, kernel, *options):
        machine = Console([STRATA, "run", *ENGINE, "--kernel", kernel, "--net", "none", "--gdb", f"unix:{self.folder}/gdb",
                           *options])
        self.addCleanup(machine.close)
        machine.expect(f"^strata: waiting for GDB: target remote {self.folder}/gdb$")
        return machine

    def attach(self, symbols=None):
        gdb = Gdb(self.folder / "gdb", symbols)
        self.addCleanup(gdb.close)
        return gdb

    def test_ctrl_c(self):
        self.start(KERNEL)
        gdb = self.attach(KERNEL)
        counts = []
        for _ in range(3):
            gdb.go()
            time.sleep(0.2)
            self.assertIn("Program received signal SIGINT", gdb.interrupt())
            counts.append(int(re.search(r"= (\d+)", gdb.check("print counter"))[1]))
        self.assertLess(counts[0], counts[1])
        self.assertLess(counts[1], counts[2])
        self.assertRegex(gdb.check("backtrace"), r"start_kernel")

    def test_breakpoint_in_running_code(self):
        self.start(KERNEL)
        gdb = self.attach(KERNEL)
        gdb.go()
        time.sleep(0.5) # it is hot code by now
        gdb.interrupt()
        before = int(re.search(r"= (\d+)", gdb.check("print counter"))[1])
        gdb.check("break tick")
        for n in range(3):
            self.assertRegex(gdb.check("continue"), r"Breakpoint 1, (0x[0-9a-f]+ in )?tick \(step=")
        after = int(re.search(r"= (\d+)", gdb.check("print counter"))[1])
        self.assertIn(after - before, (2, 3)) # it was inside tick(), or not
        gdb.check("delete")
        gdb.go()
        time.sleep(0.2)
        self.assertIn("SIGINT", gdb.interrupt())

    def test_watchpoints_in_running_code(self):
        self.start(KERNEL)
        gdb = self.attach(KERNEL)
        gdb.go()
        time.sleep(0.5)
        gdb.interrupt()
        gdb.check("watch counter")
        values = []
        for _ in range(3):
            values.append(int(re.search(r"New value = (\d+)", gdb.check("continue"))[1]))
        self.assertEqual([values[0], values[0] + 1, values[0] + 2], values)
        gdb.check("delete")
        gdb.check(f"watch counter if counter == {values[2] + 20}")
        self.assertIn(f"New value = {values[2] + 20}", gdb.check("continue"))
        gdb.check("delete")
        gdb.check("awatch done")
        self.assertRegex(gdb.check("continue"), r"Hardware access \(read/write\) watchpoint \d: done\s+Value = 0")

    def test_steps_by_source_line(self):
        self.start(KERNEL)
        gdb = self.attach(KERNEL)
        gdb.check("break tick if counter == 2000")
        self.assertIn("Breakpoint 1", gdb.check("continue"))
        self.assertIn("start_kernel", gdb.check("finish"))
        self.assertIn("$1 = 2001", gdb.check("print counter"))
        gdb.check("delete")
        for _ in range(6):
            gdb.check("stepi")
        gdb.check("set var done = 1")
        self.assertIn("exited with code 053", gdb.check("continue"))

    def test_detach_attach_again_and_vanish(self):
        machine = self.start(KERNELS / "obedient")
        first = self.attach()
        first.check("detach")
        machine.expect("^ready$")
        machine.type("say=detached\n")
        machine.expect("^detached$")
        second = self.attach()
        machine.type("say=stopped\n")
        time.sleep(0.2)
        self.assertNotIn("stopped", machine.log)
        second.go()
        machine.expect("^stopped$")
        second.process.send_signal(signal.SIGKILL)
        second.process.wait()
        machine.type("say=alone\n")
        machine.expect("^alone$")
        machine.type("off\n")
        self.assertEqual(machine.wait(), 0)

    def test_power_off_under_gdb(self):
        machine = self.start(KERNELS / "obedient", "--append", "off")
        self.assertIn("exited normally", self.attach().check("continue"))
        self.assertEqual(machine.wait(), 0)

    def test_linux_with_two_processors(self):
        """Debian's kernel at the address of its start_kernel(), which the guest itself tells; its processors as threads."""
        cloud = GUESTS / "cloud"
        options = ["--initrd", cloud / "initrd.gz", "--append", "console=ttyS0 nokaslr", "--cpus", "2"]
        with Guest(options=["--net", "none"], append="nokaslr") as guest:
            symbols = {name: int(address, 16) for address, _, name in
                       (line.split()[:3] for line in guest.check("grep -wE 'start_kernel|linux_banner|jiffies' /proc/kallsyms").splitlines())}
            self.assertEqual(guest.power_off(), 0)
        machine = self.start(cloud / "vmlinuz", *options)
        gdb = self.attach()
        gdb.check("set architecture i386:x86-64")
        gdb.check(f"hbreak *{symbols['start_kernel']:#x}")
        self.assertIn("Breakpoint 1", gdb.check("continue"))
        self.assertIn(f"{symbols['start_kernel']:#x}", gdb.check("print/x $rip"))
        self.assertIn("Linux version 6.1.", gdb.check(f"x/s {symbols['linux_banner']:#x}"))
        self.assertNotIn("Linux version", machine.log)
        gdb.check("delete")
        gdb.go()
        machine.expect("^READY$")
        # Once the shell has nothing more to do, both processors are in the kernel's idle loop.
        machine.type("echo at ''rest\n")
        machine.expect("^at rest$")
        time.sleep(1)
        self.assertIn("SIGINT", gdb.interrupt())
        threads = gdb.check("info threads")
        self.assertRegex(threads, r"Thread 1[ .].*vCPU 0")
        self.assertRegex(threads, r"Thread 2[ .].*vCPU 1")
        gdb.check("thread 2")
        self.assertRegex(gdb.check("print/x $rip"), "0xffffffff[0-9a-f]{8}")
        gdb.check(f"watch *(long*){symbols['jiffies']:#x}")
        self.assertIn("New value", gdb.check("continue"))
        gdb.check("delete")
        self.assertRegex(gdb.check("stepi"), "0x")
        self.assertIn("CR3=", gdb.check("monitor registers"))
        gdb.check("detach")
        machine.type("nproc; echo still ''alive\n")
        machine.expect("^2$")
        machine.expect("^still alive$")
        machine.type("poweroff -f\n")
        self.assertEqual(machine.wait(), 0)


if __name__ == "__main__":
    unittest.main()
