"""A host with KVM: this machine where it has it, else one that QEMU emulates, AMD-V included. The same tests run on
both."""
import base64
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from guest import GUESTS, PATIENCE, STRATA, Console, Shell, free_port

MODULES = ("irqbypass", "kvm", "ccp", "kvm-amd", "msr")  # in the order in which they are inserted
PROCESSOR = "max,+svm"
# What guests are offered. QEMU 7.2 lets guests of its AMD-V write XCR0 without their hypervisor's knowledge; so they
# have no XSAVE.
GUEST_CPU = "max,-xsave"
INIT = """#!/bin/sh
export PATH=/bin:/sbin HOME=/root TERM=linux XDG_RUNTIME_DIR=/run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
chmod 755 /
mkdir -p /dev/pts /tmp /run /root /etc
mount -t devpts pts /dev/pts
ip link set lo up
printf 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >/etc/passwd
for module in {modules}; do insmod /modules/$module.ko || echo "no module $module"; done
cd /root
echo READY
exec setsid cttyhack sh
"""


def kvm_is_here():
    """Whether strata can use this machine's own KVM."""
    listing = subprocess.run([STRATA, "engines"], check=True, capture_output=True, text=True).stdout
    return "not here" not in listing.splitlines()[1]


def libraries(program):
    """The shared libraries of a program and its dynamic linker."""
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [word for word in listing.split() if word.startswith("/")]


def add_libraries(root, paths):
    for path in paths:
        destination = root / path.lstrip("/")
        if not destination.exists():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, destination)


def add_program(root, program, name, strip=False):
    """Puts a program and what it needs under `root`."""
    target = root / "bin" / name
    shutil.copy(program, target)
    if strip:
        subprocess.run(["strip", target], check=True)
    add_libraries(root, libraries(program))


def add_late_library(root, name):
    """One that strata loads only where it is used."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    path = next(line.split()[-1] for line in listing.splitlines() if line.split()[0] == name)
    add_libraries(root, [path, *libraries(path)])


def make_initramfs(path, files, prepare):
    """The emulated host's file system: busybox, KVM's modules, strata, `files` (name: source), what `prepare` adds."""
    with tempfile.TemporaryDirectory(prefix="strata-host.") as folder:
        root = Path(folder)
        for name in ("bin", "modules", "proc", "sys", "dev", "lib64"):
            (root / name).mkdir()
        busybox = GUESTS / "amd64/root/bin"
        subprocess.run(["cp", "-a", *busybox.iterdir(), root / "bin"], check=True)
        (root / "sbin").symlink_to("bin")
        tree = next((GUESTS / "amd64/work/kernel/lib/modules").iterdir())
        for name in MODULES:
            shutil.copy(next(tree.rglob(f"{name}.ko")), root / "modules")
        add_program(root, STRATA, "strata", strip=True)
        add_late_library(root, "libslirp.so.0")
        prepare(root)
        for name, source in files.items():
            target = root / "guests" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        init = root / "init"
        init.write_text(INIT.format(modules=" ".join(MODULES)))
        init.chmod(0o755)
        listing = subprocess.run(["find", ".", "-print0"], cwd=root, check=True, capture_output=True).stdout
        with open(path, "wb") as archive:
            subprocess.run(["cpio", "--null", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=root, input=listing,
                           stdout=archive, check=True)


class Host(Shell, Console):
    """A shell on a Linux host that has KVM."""

    def start_debugged(self, options):
        """Starts a machine that waits for its debugger; what GDB is to connect to."""
        port = free_port()
        self.check(f"strata run --gdb 127.0.0.1:{port} {options} </dev/null >/dev/null 2>&1 & machine=$!")
        self.check(f"until grep -q ':{port:04X} .* 0A ' /proc/net/tcp; do sleep 0.1; done")
        return self.reach(port)

    def debugged_status(self):
        """How the machine ended."""
        return self.run("wait $machine")[0]


class EmulatedHost(Host):
    """One on QEMU's emulated processor with AMD-V; its shell is the console."""
    is_emulated = True

    def __init__(self, files=(), memory="1536M", prepare=lambda root: None):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-host.")
        initramfs = Path(self.folder.name) / "initramfs"
        self.line = Path(self.folder.name) / "line"  # the host's second serial port
        make_initramfs(initramfs, dict(files), prepare)
        super().__init__(["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", PROCESSOR, "-m", memory,
                          "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
                          "-serial", f"unix:{self.line},server=on,wait=off",
                          "-kernel", GUESTS / "amd64/vmlinuz", "-initrd", initramfs,
                          "-append", "console=ttyS0 quiet mitigations=off tsc=reliable panic=-1"])
        try:
            self.expect(r"^READY$")
            self.quiet_prompt()
        except BaseException:
            self.close()
            raise

    def reach(self, port):
        self.check("stty -F /dev/ttyS1 115200 raw -echo")
        self.check(f"nc 127.0.0.1 {port} </dev/ttyS1 >/dev/ttyS1 &")
        return self.line

    def file(self, name):
        """Where one of the files is, in the host."""
        return f"/guests/{name}"

    def close(self):
        super().close()
        self.folder.cleanup()


class ThisHost(Host):
    """This machine, whose /dev/kvm opens."""

    is_emulated = False

    def __init__(self, files=(), programs=()):
        super().__init__(["sh"])
        self.files = dict(files)
        folders = [STRATA.parent, *(program.parent for program in programs)]
        self.type("PATH=" + shlex.quote(":".join([*map(str, folders), os.environ["PATH"]])) + "\n")

    def reach(self, port):
        return f"127.0.0.1:{port}"

    def file(self, name):
        return self.files[name]


class GuestOnHost(Shell):
    """A Linux guest that runs in the background of a host's shell: its console is files there, so that both can be
    asked."""

    def __init__(self, host, command):
        self.host = host
        self.log = ""
        self.position = 0
        host.check("rm -f keys console && mkfifo keys && : >console")
        host.check(f"{command} <keys >console 2>&1 & guest=$!; exec 3>keys")

    def type(self, text):
        self.host.check(f"printf %s {shlex.quote(text)} >&3")

    def read_more(self):
        seen = len(self.log.encode())
        more = base64.b64decode(self.host.check(f"tr -d '\\r' <console | tail -c +{seen + 1} | base64 -w 0"))
        self.log += more.decode(errors="replace")

    def expect(self, pattern):
        regex = re.compile(pattern, re.M)
        deadline = time.monotonic() + PATIENCE
        while not (found := regex.search(self.log, self.position)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {pattern!r} after {PATIENCE} s; the console:\n{self.log}")
            self.read_more()
        self.position = found.end()
        return found

    def wait(self):
        """The command's exit status."""
        return self.host.run("exec 3>&-; wait $guest")[0]


def host(files=(), programs=()):
    """With files (name: source), and programs in its PATH."""
    if kvm_is_here():
        return ThisHost(files, programs)

    def prepare(root):
        for program in programs:
            add_program(root, program, program.name)

    return EmulatedHost(files, prepare=prepare)
