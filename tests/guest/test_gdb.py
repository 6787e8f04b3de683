"""Debian's gdb drives a machine by its --gdb stub."""
import os
import subprocess
import unittest
from pathlib import Path

from guest import GUESTS, PATIENCE, STRATA, Folder

KERNEL = Path(os.environ["STRATA_TEST_KERNELS"]) / "counting"


class Debugger(unittest.TestCase):
    def debug(self, commands, options=(), kernel=KERNEL, symbols=KERNEL):
        """(gdb's output, the machine's exit status) of a scripted session; the machine waits for its debugger."""
        with Folder() as folder:
            socket = folder / "gdb"
            script = folder / "script"
            script.write_text("set pagination off\nset confirm off\n" + f"target remote {socket}\n" + commands)
            machine = subprocess.Popen([STRATA, "run", "--kernel", kernel, "--net", "none", "--gdb", f"unix:{socket}",
                                        *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                while not socket.exists() and machine.poll() is None:
                    pass
                gdb = subprocess.run(["gdb", "-nx", "-batch", "-x", script, *([symbols] if symbols else [])], text=True,
                                     capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
                try:
                    status = machine.wait(10)
                except subprocess.TimeoutExpired:
                    status = None # it runs on
                return gdb.stdout + gdb.stderr, status
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


if __name__ == "__main__":
    unittest.main()
