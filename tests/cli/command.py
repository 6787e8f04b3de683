"""Runs the strata command as its users do, on pipes or on a terminal of its own."""
import fcntl
import os
import pty
import subprocess
import termios
from pathlib import Path

from guest import ENGINE, PATIENCE, STRATA, Console

KERNELS = Path(os.environ["STRATA_TEST_KERNELS"])
OBEDIENT = KERNELS / "obedient"  # does as its command line and its serial console say

# The exit statuses of docs/strata-run.md.
POWER_OFF, FAILURE, BAD_ARGUMENT, TRIPLE_FAULT, GUEST_RESET, GUEST_PANIC, STOPPED = 0, 1, 2, 4, 6, 8, 130


def strata(*arguments, **options):
    """The completed command; its output as text."""
    options = {"stdin": subprocess.DEVNULL, "timeout": PATIENCE, **options}
    return subprocess.run([STRATA, *map(str, arguments)], capture_output=True, text=True, **options)


def obedient(append="", *options):
    """The command line of a machine with the obedient kernel."""
    return [STRATA, "run", *ENGINE, "--kernel", OBEDIENT, "--net", "none",
            "--memory", "16M", "--append", append, *options]


class Terminal(Console):
    """A command on a pseudo-terminal that it controls."""

    def __init__(self, command, **options):
        self.controller, self.terminal = pty.openpty()
        self.before = termios.tcgetattr(self.terminal)
        super().__init__(command, stdin=self.terminal, stdout=self.terminal, preexec_fn=self.take, **options)
        os.set_blocking(self.controller, False)

    def take(self):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def output(self):
        return self.controller

    def type(self, text):
        os.write(self.controller, text.encode())

    def is_raw(self):
        return not termios.tcgetattr(self.terminal)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_restored(self):
        return termios.tcgetattr(self.terminal) == self.before

    def wait(self):
        """The exit status. What is still to be read follows: the terminal is held open here, so it has no end."""
        status = self.process.wait(PATIENCE)
        while self.has_more():
            self.read_some(0)
        return status

    def close(self):
        super().close()
        os.close(self.controller)
        os.close(self.terminal)
