"""Drives a guest as a user does: starts `strata run`, types at its console, reads what it prints."""
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STRATA = Path(os.environ.get("STRATA", ROOT / "build/release/bin/strata"))
GUESTS = Path(os.environ.get("STRATA_GUESTS", ROOT / "build/guest"))
# What the tests run on: STRATA_ENGINE, and where a test does not care STRATA_CPUS processors.
ENGINE = ["--engine", os.environ.get("STRATA_ENGINE", "interpreter")]
CPUS = ["--cpus", os.environ.get("STRATA_CPUS", "1")]
# Host seconds for one step; a busy or sanitized host may raise it.
PATIENCE = float(os.environ.get("STRATA_TEST_PATIENCE", "300"))
TROUBLE = re.compile(r"WARNING|\bBUG\b|[Uu]nhandled|[Uu]nexpected|Oops|Call Trace|soft lockup|hard LOCKUP|"
                     r"clocksource.*unstable|general protection|segfault", re.M)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Console:
    """A running command whose standard output is searched as it comes."""

    def __init__(self, command, **options):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **options}
        self.process = subprocess.Popen([str(c) for c in command], stderr=subprocess.STDOUT, start_new_session=True,
                                        **options)
        self.log = ""
        self.position = 0
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.output(), selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def output(self):
        """The descriptor that the output is read from."""
        return self.process.stdout.fileno()

    def has_more(self):
        return bool(self.selector.select(0))

    def read_some(self, deadline):
        """More output; False at its end."""
        if not self.selector.select(max(0, deadline - time.monotonic())):
            raise TimeoutError(f"nothing more after {PATIENCE} s; the console so far:\n{self.log}")
        data = os.read(self.output(), 65536)
        self.log += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern):
        """The match of `pattern` in what was printed since the last match."""
        deadline = time.monotonic() + PATIENCE
        regex = re.compile(pattern, re.M)
        while not (found := regex.search(self.log, self.position)):
            if not self.read_some(deadline):
                raise EOFError(f"ended without {pattern!r}; the console's end:\n{self.log[-4000:]}")
        self.position = found.end()
        return found

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait(self):
        """The exit status, when all output was read."""
        deadline = time.monotonic() + PATIENCE
        while self.read_some(deadline):
            pass
        return self.process.wait(PATIENCE)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.selector.close()


class Shell:
    """A shell's prompt on a console (which has type(), expect(), log and position)."""

    def quiet_prompt(self):
        """From now on the console shows only what commands print, and of the kernel what is an emergency. The shell no longer edits its lines: each time it does,
        it changes the terminal's mode, and what is typed at that moment can read as an end of file, at which it exits."""
        self.type("stty -echo; dmesg -n 1; exec sh -c \"echo 'at ''prompt'; exec sh /dev/tty\"\n")
        self.expect(r"at prompt")

    def run(self, command):
        """(exit status, output) of a shell command."""
        start = self.position
        self.type(f"{command}\necho \"<<\"$?\">>\"\n")
        end = self.expect(r"<<(\d+)>>\n")
        return int(end[1]), self.log[start:end.start()].strip()

    def check(self, command):
        """The output of a command that must succeed."""
        status, output = self.run(command)
        if status != 0:
            raise AssertionError(f"{command!r} ended with {status}:\n{output}")
        return output


class Guest(Shell, Console):
    """A Linux guest at its shell prompt."""

    def __init__(self, flavour="cloud", options=(), append=""):
        folder = GUESTS / flavour
        defaults = [word for pair in (ENGINE, CPUS) if pair[0] not in options for word in pair]
        super().__init__([STRATA, "run", *defaults, "--kernel", folder / "vmlinuz", "--initrd", folder / "initrd.gz",
                          "--append", f"console=ttyS0 {append}".strip(), *options])

    def __enter__(self):
        try:
            self.expect(r"^READY$")
            self.quiet_prompt()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def trouble(self):
        """The kernel messages that a healthy guest does not print."""
        return [line for line in self.check("dmesg").splitlines() if TROUBLE.search(line)]

    def power_off(self):
        """Orderly; the command's exit status."""
        self.type("poweroff -f\n")
        return self.wait()


def make_root_disk(flavour, path, size="192M"):
    """An ext4 file system, made by Debian's tools, that the guest can have as its root."""
    path.unlink(missing_ok=True)
    subprocess.run(["truncate", "-s", size, path], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", GUESTS / flavour / "root", path], check=True)


def check_file_system(path):
    """e2fsck's opinion: 0 is clean."""
    return subprocess.run(["e2fsck", "-fn", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def file_on_disk(path, name):
    """What a file on the ext4 image holds, read by the host."""
    return subprocess.run(["debugfs", "-R", f"cat {name}", path], check=True, capture_output=True, text=True).stdout


def run_gdb(target, commands, symbols=None):
    """What Debian's gdb prints while it gives the machine at `target` these commands."""
    script = ["set pagination off", "set confirm off", "set remotetimeout 60", f"target remote {target}", *commands]
    done = subprocess.run(["gdb", "-nx", "-batch", *(word for line in script for word in ("-ex", line)),
                           *([symbols] if symbols else [])], text=True, capture_output=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def counts(name):
    """What `strata stats` says of the only processor of the machine of that name, by reason."""
    done = subprocess.run([STRATA, "stats", name], capture_output=True, text=True, check=True)
    return {reason: int(count) for _, _, reason, count in map(str.split, done.stdout.splitlines()[1:])}


class Folder:
    """A scratch folder for one test."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp(prefix="strata-test."))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)
