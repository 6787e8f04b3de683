"""How a run ends: the exit statuses of docs/strata-run.md, and the terminal as it was before."""
import os
import signal
import subprocess
import time
import unittest

from command import GUEST_PANIC, GUEST_RESET, POWER_OFF, STOPPED, TRIPLE_FAULT, Terminal, obedient
from guest import ENGINE, GUESTS, PATIENCE, STRATA, Console


class Status(unittest.TestCase):
    """A guest's end is the command's exit status."""

    def ends(self, append, status, message, *options):
        with Console(obedient(append, *options)) as machine:
            self.assertEqual(machine.wait(), status, machine.log)
            self.assertRegex(machine.log, message)

    def test_power_off(self):
        self.ends("say=hello off", POWER_OFF, r"\Ahello\n\Z")

    def test_triple_fault(self):
        self.ends("fault", TRIPLE_FAULT, r"^strata: triple fault on vCPU 0 at 0x0008:0x20[0-9a-f]+: ")

    def test_reset_ends(self):
        self.ends("reset", GUEST_RESET, "^strata: the guest asked for a reset$", "--no-reboot")

    def test_panic(self):
        self.ends("panic", GUEST_PANIC, "^strata: the guest panicked and asked for a reset$")

    def test_debug_exit(self):
        for value, status in ((0, 1), (1, 3), (21, 43), (127, 255), (128, 1)):
            with self.subTest(value=value):
                self.ends(f"exit={value}", status, r"\A\Z")

    def test_reset_starts_again(self):
        with Console(obedient("say=started")) as machine:
            for _ in range(3):
                machine.expect("^started$")
                machine.expect("^ready$")
                machine.type("reset\n")
            machine.expect("^ready$")
            machine.type("off\n")
            self.assertEqual(machine.wait(), POWER_OFF)

    def test_linux_panic_that_resets(self):
        cloud = GUESTS / "cloud"
        with Console([STRATA, "run", *ENGINE, "--kernel", cloud / "vmlinuz", "--initrd", cloud / "initrd.gz", "--net", "none",
                      "--append", "console=ttyS0 rdinit=/nowhere panic=-1", "--no-reboot"]) as machine:
            machine.expect("Kernel panic - not syncing")
            self.assertEqual(machine.wait(), GUEST_RESET) # no pvpanic driver is loaded so early


class Signals(unittest.TestCase):
    """A signal presses the power button; the guest may end in order, or not."""

    def test_orderly(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number.name), Console(obedient("button")) as machine:
                machine.expect("waiting for the power button")
                machine.process.send_signal(number)
                machine.expect("the power button was pressed")
                self.assertEqual(machine.wait(), POWER_OFF)

    def test_second_signal_stops(self):
        for append in ("say=up sleep", "say=up spin"):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(append, number=number.name), Console(obedient(append)) as machine:
                    machine.expect("^up$")
                    machine.process.send_signal(number)
                    time.sleep(0.2) # two of a kind that are pending are one
                    machine.process.send_signal(number)
                    self.assertEqual(machine.wait(), STOPPED)

    def test_deaf_guest_is_stopped(self):
        with Console(obedient("say=up sleep")) as machine:
            machine.expect("^up$")
            machine.process.terminate()
            self.assertEqual(machine.wait(), STOPPED)

    def test_reader_that_goes_away(self):
        machine = subprocess.Popen(obedient("flood"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with machine:
            self.assertEqual(machine.stdout.read(6), b"flood\n")
            machine.stdout.close()
            machine.terminate()
            time.sleep(0.2)
            machine.terminate()
            self.assertEqual(machine.wait(PATIENCE), STOPPED)


class TheTerminal(unittest.TestCase):
    """Raw while a machine has it, and given back whatever happens."""

    def run_on_terminal(self, append, *options):
        machine = Terminal(obedient(append, *options))
        self.addCleanup(machine.close)
        return machine

    def ended(self, machine, status):
        self.assertEqual(machine.wait(), status, machine.log)
        self.assertTrue(machine.is_restored())

    def test_escape_key(self):
        machine = self.run_on_terminal("")
        machine.expect("Ctrl-A x")  # told at the start
        machine.expect("^ready$")
        self.assertTrue(machine.is_raw())
        machine.type("say=typed\r")
        machine.expect("^typed$")
        machine.type("\x01x")
        self.ended(machine, STOPPED)

    def test_escape_key_with_a_deaf_guest(self):
        for word in ("sleep", "spin", "flood"):
            with self.subTest(word):
                machine = self.run_on_terminal(f"say=up {word}")
                machine.expect("^up$")
                machine.type("x" * 5000 + "\x01x")
                self.ended(machine, STOPPED)

    def test_escape_help_and_ctrl_a(self):
        machine = self.run_on_terminal("")
        machine.expect("^ready$")
        machine.type("\x01h")
        machine.expect("Ctrl-A Ctrl-A")
        machine.type("say=\x01a|\r")
        machine.expect("^\x01\\|$")
        machine.type("off\r")
        self.ended(machine, POWER_OFF)

    def test_ctrl_c_is_the_guests(self):
        machine = self.run_on_terminal("")
        machine.expect("^ready$")
        machine.type("say=\x03|\r")
        machine.expect("^\x03\\|$")
        machine.type("off\r")
        self.ended(machine, POWER_OFF)

    def test_guests_own_ends(self):
        for append, status in (("off", POWER_OFF), ("fault", TRIPLE_FAULT), ("panic", GUEST_PANIC), ("exit=21", 43)):
            with self.subTest(append):
                self.ended(self.run_on_terminal(append), status)

    def test_message_on_a_clean_line(self):
        machine = self.run_on_terminal("fault")
        self.ended(machine, TRIPLE_FAULT)
        self.assertRegex(machine.log, r"(?m)^strata: triple fault on vCPU 0 [^\n]*\n\Z")

    def test_signals(self):
        for number, status in ((signal.SIGTERM, STOPPED), (signal.SIGHUP, STOPPED)):
            with self.subTest(number.name):
                machine = self.run_on_terminal("say=up sleep")
                machine.expect("^up$")
                machine.process.send_signal(number)
                time.sleep(0.2)
                machine.process.send_signal(number)
                self.ended(machine, status)

    def test_crash_of_the_monitor(self):
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGQUIT):
            with self.subTest(number.name):
                machine = self.run_on_terminal("say=up sleep")
                machine.expect("^up$")
                self.assertTrue(machine.is_raw())
                os.kill(machine.process.pid, number)
                self.ended(machine, -number)

    def test_stop_and_continue(self):
        machine = self.run_on_terminal("")
        machine.expect("^ready$")
        machine.process.send_signal(signal.SIGTSTP)
        os.waitid(os.P_PID, machine.process.pid, os.WSTOPPED)
        self.assertTrue(machine.is_restored())
        machine.process.send_signal(signal.SIGCONT)
        machine.type("say=again\r")
        machine.expect("^again$")
        self.assertTrue(machine.is_raw())
        machine.type("off\r")
        self.ended(machine, POWER_OFF)

    def test_start_that_fails(self):
        machine = self.run_on_terminal("", "--gdb", "unix:/nowhere/gdb")
        self.assertEqual(machine.wait(), 2)
        self.assertTrue(machine.is_restored())
        self.assertRegex(machine.log, r"^strata: --gdb: cannot listen on /nowhere/gdb: No such file or directory\n")


if __name__ == "__main__":
    unittest.main()
