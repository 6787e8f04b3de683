"""Machines on the host's processor by KVM: on this host's where it has one, else in a host that QEMU emulates."""
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import kvm_host
from guest import GUESTS, run_gdb

KERNELS = Path(os.environ["STRATA_TEST_KERNELS"])
CPU = f"--cpu {kvm_host.GUEST_CPU}"
PORT = 7000
# Counts in integers and in floating point; stops if it ever counts wrong.
COUNTER = """for (;;) { s = 0; for (i = 1; i <= 1000; i++) s += i / 4; if (s != 125125) { print s > "/wrong"; exit }
print ++n > "/count"; close("/count") }"""
SERVICE = "n=0; while read word; do n=$((n+1)); echo $n $word; done"


def make_disk(folder):
    """A small ext4 file system."""
    (folder / "root").mkdir()
    (folder / "root/hello").write_text("written by the host\n")
    disk = folder / "disk"
    subprocess.run(["truncate", "-s", "16M", disk], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", folder / "root", disk], check=True)
    return disk


class Kvm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(prefix="strata-test.") as folder:
            cls.host = kvm_host.host({"obedient": KERNELS / "obedient", "counting": KERNELS / "counting",
                                      "vmlinuz": GUESTS / "cloud/vmlinuz",
                                      "initrd.gz": GUESTS / "cloud/initrd.gz", "disk": make_disk(Path(folder))})
        cls.addClassCleanup(cls.host.close)

    def obedient(self, append, options=""):
        """(exit status, output) of the small kernel that does as its command line says."""
        return self.host.run(f"strata run --engine kvm {CPU} --net none --memory 16M "
                             f"--kernel {self.host.file('obedient')} {options} --append '{append}' </dev/null")

    def linux(self, options, append=""):
        """Debian's cloud kernel, at its shell."""
        guest = kvm_host.GuestOnHost(self.host, f"strata run --engine kvm {CPU} --memory 128M "
                                     f"--kernel {self.host.file('vmlinuz')} --initrd {self.host.file('initrd.gz')} "
                                     f"--append 'console=ttyS0 quiet {append}' {options}")
        guest.expect("^READY$")
        guest.quiet_prompt()
        return guest

    def power_off(self, guest):
        guest.type("poweroff -f\n")
        self.assertEqual(guest.wait(), 0)

    def test_the_host_has_it(self):
        engines = self.host.check("strata engines")
        self.assertRegex(engines, r"\Akvm +runs guest code on the host's processor")
        self.assertNotIn("not here", engines.splitlines()[1])

    def test_a_kernel_runs_and_powers_off(self):
        status, output = self.obedient("say=hello off")
        self.assertEqual((status, output), (0, "hello"))

    def test_with_two_processors(self):
        status, output = self.obedient("say=hello off", "--cpus 2")
        self.assertEqual((status, output), (0, "hello"))

    def debug(self, commands):
        """(gdb's output, the machine's exit status) of a session with the counting kernel."""
        line = self.host.start_debugged(f"--engine kvm {CPU} --net none --kernel {self.host.file('counting')}")
        return run_gdb(line, commands, KERNELS / "counting"), self.host.debugged_status()

    def test_gdb_breaks_and_steps(self):
        """With more breakpoints than the processor has registers for: they are found by single steps. QEMU 7.2's
        AMD-V, besides, does not arm those registers when it enters a guest."""
        elsewhere = [f"break *{address}" for address in (0x1000, 0x2000, 0x3000, 0x4000)]
        output, status = self.debug(["break tick", *elsewhere, "continue", "print counter", "stepi", "stepi", "stepi",
                                     "print counter", "continue", "print counter", "set var counter = 500", "delete",
                                     "stepi", "stepi", "stepi", "print counter", "print $cr0 & 1", "set $rax = 12345",
                                     "info registers rax", "set var done = 1", "continue"])
        self.assertIn("Breakpoint 1, tick (step=", output)
        for line in ("$1 = 0", "$2 = 1", "$3 = 1", "$4 = 501"): # the increment is a load, an addition and a store
            self.assertIn(line + "\n", output)
        self.assertIn("$5 = 1\n", output)
        self.assertRegex(output, r"rax +0x3039 +12345")
        self.assertIn("exited with code 053", output) # octal 43
        self.assertEqual(status, 43)

    def test_linux_moves_between_all_engines(self):
        """With a disk and a connection to it, while it counts."""
        guest = self.linux(f"--name live --disk {self.host.file('disk')},format=raw -p 127.0.0.1:{PORT}:{PORT}")
        guest.check("mount -t ext4 /dev/vda /mnt")
        self.assertEqual(guest.check("cat /mnt/hello"), "written by the host")
        guest.check(f"cat >/counter <<'end'\nBEGIN {{ {COUNTER} }}\nend")
        guest.check(f"printf '#!/bin/sh\\n%s\\n' '{SERVICE}' >/service && chmod +x /service")
        guest.check(f"awk -f /counter >/dev/null 2>&1 & nc -l -p {PORT} -e /service &")
        guest.check(f"until grep -q ':{PORT:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done")
        self.host.check(f"rm -f say; mkfifo say; nc 127.0.0.1 {PORT} <say >heard & exec 4>say")
        for number, engine in enumerate(("interpreter", "translator", "kvm", "interpreter"), 1):
            before = int(guest.check("until n=$(cat /count) && [ $n ]; do sleep 1; done; echo $n"))
            self.assertEqual(self.host.check(f"strata engine switch live {engine}"), f"live runs on {engine}")
            self.host.check(f"echo {engine} >&4; until grep -q '^{number} {engine}$' heard; do sleep 0.1; done")
            guest.check(f"until n=$(cat /count) && [ ${{n:-0}} -gt {before} ]; do sleep 1; done")
        guest.check("cat /count >/mnt/count && umount /mnt && mount /dev/vda /mnt && [ -s /mnt/count ] && umount /mnt")
        self.assertEqual(guest.run("ls /wrong")[0], 1)
        self.assertRegex(self.host.check("strata stats live"), r"0 +kvm +port +\d+")
        self.host.check("exec 4>&-")
        self.power_off(guest)

    def test_a_reset_ends_it(self):
        guest = self.linux("--net none --no-reboot", append="panic=-1")
        guest.type("echo c >/proc/sysrq-trigger\n")
        self.assertEqual(guest.wait(), 6)

    def test_linux_on_two_processors(self):
        guest = self.linux("--cpus 2 --net none")
        self.assertEqual(guest.check("nproc"), "2")
        both = guest.check("(for c in 0 1; do taskset $((1 << c)) sh -c 'n=0; while [ $n -lt 300 ]; do n=$((n+1)); done; "
                           "echo cpu $(cut -d\" \" -f39 /proc/self/stat)' & done; wait)")
        self.assertEqual(sorted(both.splitlines()), ["cpu 0", "cpu 1"])
        self.power_off(guest)


if __name__ == "__main__":
    unittest.main()
