"""What goes wrong is told in one line that names the object, with a hint, and in the exit status; nothing hangs, and
nothing that exists is lost."""
import os
import shutil
import socket
import struct
import subprocess
import time
import unittest
from pathlib import Path

from command import BAD_ARGUMENT, FAILURE, OBEDIENT, POWER_OFF, obedient, strata
from guest import STRATA, Console, Folder

# As an ordinary user, for whom permissions and low ports count.
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-net_bind_service", "--"]


def unprivileged():
    return UNPRIVILEGED if os.geteuid() == 0 else []


class Errors(unittest.TestCase):
    """Cases are rows: arguments, the message, the hint."""

    def setUp(self):
        folder = Folder()
        self.folder = folder.__enter__()
        self.addCleanup(folder.__exit__)

    def fails(self, arguments, message, hint="", status=BAD_ARGUMENT, prefix=(), seconds=60):
        with self.subTest(" ".join(str(a) for a in arguments)[:200]):
            done = subprocess.run([*prefix, STRATA, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=seconds)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual(done.stdout, "")
            lines = done.stderr.splitlines()
            self.assertRegex(lines[0], f"^strata: {message}$")
            self.assertEqual([line for line in lines[1:] if not line.startswith("  hint: ")], [])
            self.assertLessEqual(len(lines), 2)
            if hint:
                self.assertEqual(len(lines), 2, "a hint was expected")
                self.assertRegex(lines[1], hint)

    def run_fails(self, options, message, hint="", kernel=OBEDIENT, **more):
        # Should the machine start after all, it ends at once.
        append = [] if "--append" in options else ["--append", "off"]
        self.fails(["run", "--kernel", kernel, *append, *options], message, hint, **more)

    def file(self, name, content=b""):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def fifo(self, name="fifo"):
        path = self.folder / name
        os.mkfifo(path)
        return path


class CommandLine(Errors):
    def test_words_and_options(self):
        for arguments, message, hint in (
            ([], "a command is missing", "see strata --help"),
            (["rum"], "unknown command 'rum'", r"did you mean 'run'\? see strata --help"),
            (["disk"], "a command is missing", "see strata disk --help"),
            (["disk", "covert", "a", "b"], "unknown command 'covert'", "did you mean 'convert'"),
            (["--colour"], "unknown option '--colour'", "see strata --help"),
            (["run"], "nothing to run: neither an image nor --kernel is named", "see strata run --help"),
            (["run", "--kernal", "x"], "unknown option '--kernal'", r"did you mean '--kernel'\? see strata run --help"),
            (["run", "--kernel", "x", "--cpu-s", "2"], "unknown option '--cpu-s'", "did you mean '--cpu-shares'"),
            (["run", "--kernel", "x", "-z"], "unknown option '-z'", ""),
            (["run", "--kernel"], "--kernel needs a value", "see strata run --help"),
            (["run", "--kernel", "x", "--kernel", "y"], "--kernel is given more than once", ""),
            (["run", "--kernel", "x", "--cpus", "1", "--cpus", "2"], "--cpus is given more than once", ""),
            (["run", "--kernel", "x", "--memory", "1G", "--memory", "1G"], "--memory is given more than once", ""),
            (["completion", "fish"], "SHELL: 'fish' is not possible", "choose from: bash"),
            (["cpus", "pentum"], "unknown CPU model 'pentum'", "did you mean 'pentium'"),
            (["version", "please"], "'please' is one word too many", ""),
        ):
            self.fails(arguments, message, hint)

    def test_values(self):
        for options, message, hint in (
            (["--icount", "x"], "--icount: 'x' is not a number", "--icount 3: "),
            (["--icount", "shift="], "--icount: 'shift=' is not a number", ""),
            (["--icount", "11"], r"--icount: an instruction of 2\^11 nanoseconds is not possible", "from 0 to 10"),
            (["--icount", "3", "--cpus", "2"], "instructions can be counted of one CPU only", "leave --cpus out"),
            (["--icount", "3", "--engine", "lockstep"], "engine lockstep does not count instructions",
             "--icount goes with --engine translator or interpreter"),
            (["--translation-cache", "x", "--engine", "interpreter"],
             "engine interpreter translates nothing that --translation-cache could keep", "--engine translator"),
            (["--cpus", "0"], "0 virtual CPUs: from 1 to 64 are possible", ""),
            (["--cpus", "65"], "65 virtual CPUs: from 1 to 64 are possible", ""),
            (["--cpus", "two"], "--cpus: 'two' is not a number that fits", ""),
            (["--cpus=-1"], "--cpus: '-1' is not a number that fits", ""),
            (["--cpus", "99999999999"], "--cpus: '99999999999' is not a number that fits", ""),
            (["--cpus", "2", "--cpu", "486"], "the CPU model 486 has no local APIC, .*", "from pentium on"),
            (["--memory", "0"], "0 bytes of memory: from 1M to 1T are possible", ""),
            (["--memory", "12"], "12 bytes of memory: .*", "as in --memory 512M"),
            (["--memory", "2T"], "2199023255552 bytes of memory: .*", ""),
            (["--memory", "1048577"], "1048577 bytes of memory are not a multiple of 4K", ""),
            (["--memory", "much"], "'much' is not a size", "write it as 512M or 2G"),
            (["--memory=-1M"], "'-1M' is not a size", ""),
            (["--memory", "99999999999999999999G"], "size 99999999999999999999G is too large", ""),
            (["--memory", "16777216T"], "size 16777216T is too large", ""),
            (["--memory", ""], "'' is not a size", ""),
            (["--engine", "tranlsator"], "unknown engine 'tranlsator'", r"did you mean 'translator'\? known engines: auto,"),
            (["--engine", "interp"], "unknown engine 'interp'", "did you mean 'interpreter'"),
            (["--engine", "x"], "unknown engine 'x'", "hint: known engines: auto, .*interpreter, "),
            (["--cpu", "pentium2"], "unknown CPU model 'pentium2'", r"did you mean 'pentium'\?"),
            (["--board", "mikro"], "unknown board 'mikro'", r"did you mean 'micro'\?"),
            (["--net", "tap"], "--net: 'tap' is not possible", "choose from: user, none"),
            (["--net", "usr"], "--net: 'usr' is not possible", "did you mean 'user'"),
            (["--trace", "insn,exeptions"], "--trace: nothing called 'exeptions' can be traced",
             "did you mean 'exceptions'.*insn, exceptions, interrupts, ports"),
            (["--trace", "="], "--trace: nothing called '' can be traced", "choose from"),
            (["--trace", "ports=/nowhere/log"], "cannot open trace file /nowhere/log: No such file or directory", "path"),
            (["--serial", "teletype"], "unknown console 'teletype'", "use stdio, file:PATH"),
            (["--serial", "file:"], "unknown console 'file:'", "use stdio, file:PATH"),
            (["--serial", "stdio", "--console", "stdio"], "--serial and --console can't both be wired to stdio", "pty"),
            (["--disk", ""], "disk '' names no file", "disk.img,format=raw"),
            (["--disk", "a,readonli"], "disk a: unknown option 'readonli'", "did you mean 'readonly'"),
            (["--disk", "a,format=qcow"], "unknown image format 'qcow'", "did you mean 'qcow2'.*known formats: qcow2, raw"),
        ):
            self.run_fails(options, message, hint)

    def test_port_forwards(self):
        for forward, message, hint in (
            ("80", "port forward '80': not of the form .*", "for example -p 8080:80"),
            ("a:b", "port forward 'a:b': not of the form .*", "for example"),
            ("8080:80/sctp", "port forward '8080:80/sctp': not of the form .*", "for example"),
            ("0:80", "port forward '0:80': 0 is not a port", "ports are 1 to 65535"),
            ("8080:65536", "port forward '8080:65536': 65536 is not a port", "ports are 1 to 65535"),
            ("99999999999:80", "port forward '99999999999:80': 99999999999 is not a port", ""),
            ("localhost:8080:80", "port forward 'localhost:8080:80': 'localhost' is not an IPv4 address", "127.0.0.1"),
            ("1.2.3:8080:80", "port forward '1.2.3:8080:80': '1.2.3' is not an IPv4 address", ""),
            ("192.0.2.1:8080:80", "cannot forward port 192.0.2.1:8080:80: Cannot assign requested address", "ip address"),
        ):
            self.run_fails(["-p", forward], message, hint)
        self.run_fails(["--net", "none", "-p", "8080:80"], "a port forward needs a network", "leave out --net none")
        self.run_fails(["-p", "8080:80", "-p", "127.0.0.1:8080:81"],
                       "port forwards 8080:80 and 127.0.0.1:8080:81 want the same port of the host", "a port of its own")

    def test_ports_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.run_fails(["-p", f"127.0.0.1:{port}:80"],
                           f"cannot forward port 127.0.0.1:{port}:80: Address already in use", "another program listens")
            for option, name in (("--gdb", "--gdb: "), ("--serial", "")):
                address = f"127.0.0.1:{port}"
                self.run_fails([option, address if name else f"socket:{address}"],
                               f"{name}cannot listen on {address}: Address already in use", "another program listens")

    @unittest.skipIf(int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81, "any user may use low ports")
    def test_privileged_ports(self):
        for options, message in ((["-p", "127.0.0.1:81:80"], "cannot forward port 127.0.0.1:81:80: Permission denied"),
                                 (["--serial", "socket:127.0.0.1:81"], "cannot listen on 127.0.0.1:81: Permission denied")):
            self.run_fails(options, message, "ports below 1024 need privileges", prefix=unprivileged())

    def test_listening_addresses(self):
        long_path = "/tmp/" + "x" * 120
        for options, message, hint in (
            (["--gdb", "127.0.0.1:port"], "--gdb: cannot listen on 127.0.0.1:port: 'port' is not a port's number", "1 to 65535"),
            (["--gdb", "70000"], "--gdb: cannot listen on 127.0.0.1:70000: '70000' is not a port's number", "1 to 65535"),
            (["--gdb", "no.such.host.invalid:1"], "--gdb: cannot listen on no.such.host.invalid:1: .*", "address of this host"),
            (["--gdb", f"unix:{long_path}"], f"--gdb: socket path '{long_path}' is empty or too long", "at most 107 bytes"),
            (["--gdb", "unix:"], "--gdb: socket path '' is empty or too long", ""),
            (["--gdb", "unix:/nowhere/s"], "--gdb: cannot listen on /nowhere/s: No such file or directory", "path"),
            (["--serial", f"socket:{self.file('file')}"], "cannot listen on .*: Address already in use", "another path"),
        ):
            self.run_fails(options, message, hint)


class Files(Errors):
    def test_of_the_wrong_kind(self):
        fifo, directory = self.fifo(), self.folder
        for path, kind in ((fifo, "a FIFO"), (directory, "a directory"), ("/dev/zero", "a character device")):
            not_file = f"{path} is {kind}, not a regular file"
            self.run_fails([], f"kernel {not_file}", ".", kernel=path)
            self.run_fails(["--initrd", path], f"initial RAM disk or module {not_file}", ".")
            self.run_fails(["--module", f"{path},text"], f"initial RAM disk or module {not_file}", ".")
        for path, kind in ((fifo, "a FIFO"), ("/dev/zero", "a character device")):
            for spec in (f"{path}", f"{path},readonly", f"{path},format=qcow2"):
                self.run_fails(["--disk", spec], f"disk {path} is {kind}, neither a regular file nor a block device", ".")
            self.fails(["disk", "info", path], f"disk {path} is {kind}, .*", ".", FAILURE)
            self.fails(["disk", "convert", path, self.folder / "new"], f"disk {path} is {kind}, .*", ".", FAILURE)
        self.run_fails(["--disk", directory], f"cannot open disk {directory}: Is a directory", "name a file in it")
        self.run_fails(["--disk", f"{directory},readonly"], f"disk {directory} is a directory, .*", "")
        self.run_fails(["--serial", f"file:{directory}"], f"cannot open console file {directory}: Is a directory", "name a file")
        self.run_fails(["--trace", f"ports={directory}"], f"cannot open trace file {directory}: Is a directory", "name a file")

    def test_fifo_without_a_reader(self):
        fifo = self.fifo()
        for options, what in ((["--serial", f"file:{fifo}"], "console"), (["--trace", f"ports={fifo}"], "trace")):
            self.run_fails(options, f"cannot open {what} file {fifo}: No such device or address", "start its reader first")

    def test_missing(self):
        missing = self.folder / "missing"
        absent = f"{missing}: No such file or directory"
        self.run_fails([], f"cannot open kernel {absent}", "check the path", kernel=missing)
        self.run_fails(["--initrd", missing], f"cannot open initial RAM disk or module {absent}", "check the path")
        for spec in (missing, f"{missing},readonly"):
            self.run_fails(["--disk", spec], f"cannot open disk {absent}", "check the path")
        self.run_fails([], "cannot open kernel .*: Not a directory", "before its last name", kernel=OBEDIENT / "kernel")
        self.run_fails([], "cannot open kernel .*: File name too long", "", kernel="x" * 300)
        self.run_fails([], r"cannot open kernel \\x1b\[2J\\x0a: No such file or directory", "", kernel="\x1b[2J\n")

    def test_without_permission(self):
        secret = self.file("secret", OBEDIENT.read_bytes())
        secret.chmod(0)
        denied = f"{secret}: Permission denied"
        for options, kernel, message, hint in (
            ([], secret, f"cannot open kernel {denied}", "check its permissions"),
            (["--initrd", secret], OBEDIENT, f"cannot open initial RAM disk or module {denied}", "check its permissions"),
            (["--disk", f"{secret},readonly"], OBEDIENT, f"cannot open disk {denied}", "check its permissions"),
            (["--serial", f"file:{secret}"], OBEDIENT, f"cannot open console file {denied}", "check its permissions"),
        ):
            self.run_fails(options, message, hint, kernel=kernel, prefix=unprivileged())
        disk = self.file("disk", bytes(4096))
        disk.chmod(0o444)
        self.run_fails(["--disk", disk], f"cannot open disk {disk}: Permission denied", "open it read-only",
                       prefix=unprivileged())

    def test_in_use(self):
        disk = self.file("disk.img", bytes(1 << 20))
        with Console(obedient("", "--disk", f"{disk},format=raw")) as machine:
            machine.expect("^ready$")
            in_use = f"disk {disk} is in use by another process"
            self.run_fails(["--disk", disk], in_use, "stop the other user, or open the disk read-only")
            self.run_fails(["--disk", f"{disk},readonly"], in_use, "stop the process that writes to it")
            self.fails(["disk", "create", "--force", disk, "1M"], in_use, "", FAILURE)
            self.fails(["disk", "convert", "--force", self.file("other", bytes(512)), disk], in_use, "", FAILURE)
            machine.type("off\n")
            self.assertEqual(machine.wait(), POWER_OFF)
        self.assertEqual(disk.read_bytes(), bytes(1 << 20))

    def test_one_file_for_two_purposes(self):
        kernel = self.folder / "kernel"
        shutil.copy(OBEDIENT, kernel)
        before = kernel.read_bytes()
        disk, log = self.file("disk", bytes(4096)), self.folder / "log"
        link = self.folder / "link"
        link.symlink_to(kernel)
        for options, message in (
            (["--serial", f"file:{kernel}"], f"{kernel} is the kernel and --serial at once"),
            (["--serial", f"file:{link}"], f"{link} is the kernel and --serial at once"),
            (["--trace", f"ports={kernel}"], f"{kernel} is the kernel and --trace at once"),
            (["--disk", kernel], f"{kernel} is the kernel and a disk at once"),
            (["--disk", disk, "--console", f"file:{disk}"], f"{disk} is a disk and --console at once"),
            (["--disk", disk, "--disk", disk], f"{disk} is a disk and another at once"),
            (["--serial", f"file:{log}", "--trace", f"ports={log}"], f"{log} is --serial and --trace at once"),
        ):
            self.run_fails(options, message, "a file of its own", kernel=kernel)
        self.assertEqual(kernel.read_bytes(), before)
        self.assertFalse(log.exists())

    def test_errors_empty_no_file(self):
        log = self.file("log", "earlier\n")
        self.run_fails(["--serial", f"file:{log}"], "cannot open kernel missing: .*", "", kernel="missing")
        self.run_fails(["--serial", f"file:{log}", "--engine", "x"], "unknown engine 'x'")
        self.assertEqual(log.read_text(), "earlier\n")


class Kernels(Errors):
    """Files that are no kernels, or broken ones."""

    def test_absurd(self):
        elf = OBEDIENT.read_bytes()
        header = bytearray(elf[:64])
        for name, content, message in (
            ("empty", b"", "not a kernel in a format known here"),
            ("text", b"#!/bin/sh\necho hello\n", "not a kernel in a format known here"),
            ("zeros", bytes(1 << 20), "not a kernel in a format known here"),
            ("elf-magic", b"\x7fELF", ".*"),
            ("elf-header", elf[:64], ".*"),
            ("elf-half", elf[: len(elf) // 8], ".*"),
            ("elf-no-segments", bytes(header[:56]) + struct.pack("<HHHHHH", 0, 0, 0, 0, 0, 0)[:8] + elf[64:], ".*"),
            ("elf-far-table", bytes(header[:32]) + struct.pack("<Q", 1 << 63) + elf[40:], ".*"),
        ):
            path = self.file(name, content)
            self.run_fails(["--net", "none"], f"kernel {path}: {message}", "", kernel=path)

    def test_truncated_linux(self):
        from guest import GUESTS
        image = (GUESTS / "cloud/vmlinuz").read_bytes()
        for size in (512, 0x260, 1024, 4096, 16384, len(image) // 2, len(image) * 9 // 10):
            path = self.file("vmlinuz", image[:size])
            self.run_fails(["--net", "none"], f"kernel {path}: .*", "", kernel=path)

    def test_larger_than_memory(self):
        initrd = self.folder / "initrd"
        with initrd.open("wb") as f:
            f.truncate(1 << 40)
        self.run_fails(["--initrd", initrd], f"initial RAM disk or module {initrd} has 1099511627776 bytes, more than .*", "")
        self.run_fails([], f"kernel {initrd} has 1099511627776 bytes, more than .*", "", kernel=initrd)
        with initrd.open("wb") as f:
            f.truncate(100 << 20)
        self.run_fails(["--initrd", initrd, "--memory", "101M"], f"module {initrd}: 104857600 bytes do not fit into the guest's memory", "")

    @unittest.skipUnless(Path("/proc/sys/vm/overcommit_memory").read_text() == "0\n", "the host promises any memory")
    def test_more_than_the_host_has(self):
        initrd = self.folder / "initrd"
        with initrd.open("wb") as f:
            f.truncate(900 << 30)
        self.run_fails(["--initrd", initrd, "--memory", "1T"], "this host has not enough memory for that", "ask for less",
                       status=FAILURE)

    def test_command_line_too_long(self):
        from guest import GUESTS
        self.run_fails(["--append", "x" * 5000], ".*command line.*", "", kernel=GUESTS / "cloud/vmlinuz")


class Disks(Errors):
    """Files that are no disks, or broken ones."""

    def qcow2(self, name="disk.qcow2", *options):
        path = self.folder / name
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "1M"], check=True)
        return path

    def patched(self, offset, value):
        path = self.qcow2()
        content = bytearray(path.read_bytes())
        content[offset : offset + len(value)] = value
        path.write_bytes(content)
        return path

    def both_fail(self, path, message, hint=""):
        self.run_fails(["--disk", path], message, hint)
        self.fails(["disk", "convert", path, self.folder / "copy"], message, hint, FAILURE)
        self.assertFalse((self.folder / "copy").exists())

    def test_not_qcow2(self):
        for content in (b"", b"text", bytes(4096)):
            path = self.file("raw", content)
            self.run_fails(["--disk", f"{path},format=qcow2"], f"disk {path}: .*", "")

    def test_broken_qcow2(self):
        for name, offset, value in (
            ("version", 4, struct.pack(">I", 4)),
            ("cluster bits", 20, struct.pack(">I", 63)),
            ("size", 24, struct.pack(">Q", 1 << 63)),
            ("encryption", 32, struct.pack(">I", 1)),
            ("L1 entries", 36, struct.pack(">I", 0xFFFFFFFF)),
            ("L1 offset", 40, struct.pack(">Q", 3)),
            ("refcount table", 48, struct.pack(">Q", 1 << 60)),
            ("unknown feature", 72, struct.pack(">Q", 1 << 40)),
            ("header length", 100, struct.pack(">I", 8)),
        ):
            with self.subTest(name):
                path = self.patched(offset, value)
                self.both_fail(path, f"disk {path}: .*")

    def test_truncated_qcow2(self):
        whole = self.qcow2().read_bytes()
        for size in (4, 40, 103, 600, 1 << 16, 1 << 17, 3 << 16):
            path = self.file("truncated.qcow2", whole[:size])
            self.run_fails(["--disk", f"{path},format=qcow2"], f"disk {path}: .*", "")

    def test_backing_files(self):
        base = self.file("base.img", bytes(1 << 20))
        path = self.qcow2("over.qcow2", "-b", base, "-F", "raw")
        base.unlink()
        self.both_fail(path, f"disk {path}: backing file: cannot open disk {base}: No such file or directory", "check the path")
        one = self.qcow2("one.qcow2")
        two = self.qcow2("two.qcow2", "-b", one, "-F", "qcow2")
        subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", two, "-F", "qcow2", one], check=True)
        self.both_fail(two, f"disk {one}|disk .*: more than 64 backing files in a chain|disk .*backing file.*")

    def test_disk_larger_than_the_file_system_allows(self):
        self.fails(["disk", "create", "--format", "raw", self.folder / "huge", "8000000T"], ".*", "", FAILURE)
        self.assertFalse((self.folder / "huge").exists())


if __name__ == "__main__":
    unittest.main()
