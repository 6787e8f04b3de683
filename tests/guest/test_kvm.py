"""Machines on the host's processor by KVM: on this host's where it has one, else in a host that QEMU emulates."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import kvm_host
from guest import GUESTS, run_gdb

KVM_TEST = Path(os.environ["STRATA_KVM_TEST"])
KERNELS = Path(os.environ["STRATA_TEST_KERNELS"])
CPU = f"--cpu {kvm_host.GUEST_CPU}"
PORT = 7000
# Counts in integers and in floating point; stops if it ever counts wrong.
COUNTER = """for (;;) { s = 0; for (i = 1; i <= 1000; i++) s += i / 4; if (s != 125125) { print s > "/wrong"; exit }
print ++n > "/count"; close("/count") }"""
# Checks of the kernel `modes` that QEMU's processor fails, not ours: it does not check segments' limits and rights outside
# 64-bit mode, has no pointer entries, and forgets some bits (docs/kvm.md).
QEMU_FAILS = {
    "byte behind the limit", "write to a read-only segment", "expand-down: byte at the limit",
    "null segment has no bytes", "byte behind a limit of 0", "its RF", "real: limit of 64 KiB", "PAE: error code",
    "PAE: reserved bits in a pointer entry", "guard: MOV from DR6", "guard: DR6.BD", "INT1", "INT1: a trap",
    "INT1: no cause in DR6", "long: flags after the mask"}
SERVICE = "n=0; while read word; do n=$((n+1)); echo $n $word; done"


def setUpModule():
    global HOST
    with tempfile.TemporaryDirectory(prefix="strata-test.") as folder:
        files = {name: KERNELS / name for name in ("obedient", "counting", "modes")}
        files |= {name: GUESTS / "cloud" / name for name in ("vmlinuz", "initrd.gz")}
        files |= {f"generic/{name}": GUESTS / "amd64" / name for name in ("vmlinuz", "initrd.gz")}
        files["disk"] = make_disk(Path(folder))
        HOST = kvm_host.host(files, [KVM_TEST, *(Path(shutil.which(name)) for name in ("e2fsck", "debugfs"))])
    unittest.addModuleCleanup(HOST.close)


def make_disk(folder):
    """A small ext4 file system."""
    (folder / "root").mkdir()
    (folder / "root/hello").write_text("written by the host\n")
    disk = folder / "disk"
    subprocess.run(["truncate", "-s", "16M", disk], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-d", folder / "root", disk], check=True)
    return disk


class Kvm(unittest.TestCase):
    def setUp(self):
        self.host = HOST

    def obedient(self, append, options=""):
        """(exit status, output) of the small kernel that does as its command line says."""
        return self.host.run(f"strata run --engine kvm {CPU} --net none --memory 16M "
                             f"--kernel {self.host.file('obedient')} {options} --append '{append}' </dev/null")

    def start(self, options, append="", engine="kvm", files=""):
        """Debian's cloud kernel, or another one of the host's files."""
        return kvm_host.GuestOnHost(self.host, f"strata run --engine {engine} {CPU} --memory 128M "
                                    f"--kernel {self.host.file(files + 'vmlinuz')} "
                                    f"--initrd {self.host.file(files + 'initrd.gz')} "
                                    f"--append 'console=ttyS0 quiet {append}' {options}")

    def linux(self, options, **others):
        """At its shell."""
        guest = self.start(options, **others)
        guest.expect("^READY$")
        guest.quiet_prompt()
        return guest

    def count_in(self, guest):
        """A program that counts, and that has_gone_on() looks at."""
        guest.check(f"cat >/counter <<'end'\nBEGIN {{ {COUNTER} }}\nend")
        guest.check("awk -f /counter >/dev/null 2>&1 &")

    def count(self, guest):
        return int(guest.check("until n=$(cat /count 2>/dev/null) && [ $n ]; do sleep 1; done; echo $n"))

    def has_gone_on(self, guest, before):
        guest.check(f"until n=$(cat /count 2>/dev/null) && [ ${{n:-0}} -gt {before} ]; do sleep 1; done")
        self.assertEqual(guest.run("ls /wrong")[0], 1)

    def switch(self, engine):
        self.assertEqual(self.host.check(f"strata engine switch live {engine}"), f"live runs on {engine}")

    def uptime(self, shell):
        """In hundredths of a second."""
        return int(shell.check("cut -d' ' -f1 /proc/uptime").replace(".", ""))

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

    def test_the_engine_itself(self):
        """Its dirty log, its time, and how it checks the interpreter: the program kvm_test."""
        status, output = self.host.run("kvm_test --gtest_color=no")
        self.assertEqual(status, 0, output)
        self.assertRegex(output, r"PASSED  \] [1-9]\d* tests")

    def test_a_kernel_visits_all_modes(self):
        """The kernel of test_modes.py. A task switch needs the host's memory in huge pages under QEMU (docs/kvm.md)."""
        if self.host.is_emulated:
            self.host.check("echo 1 >/proc/sys/vm/compact_memory; "
                            "echo always >/sys/kernel/mm/transparent_hugepage/shmem_enabled")
        output = self.host.run(f"strata run --engine kvm {CPU} --net none --memory 64M "
                               f"--kernel {self.host.file('modes')} </dev/null")[1]
        if self.host.is_emulated:
            self.host.check("echo never >/sys/kernel/mm/transparent_hugepage/shmem_enabled")
        failed = set(re.findall(r"^FAIL (.*?): got", output, re.M))
        self.assertEqual(failed - (QEMU_FAILS if self.host.is_emulated else set()), set())
        self.assertIn("ok long: LMA is clear without paging", output, "it came to its end")
        self.assertGreater(len(re.findall("^ok ", output, re.M)), 200)

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
        self.count_in(guest)
        guest.check(f"printf '#!/bin/sh\\n%s\\n' '{SERVICE}' >/service && chmod +x /service")
        guest.check(f"nc -l -p {PORT} -e /service &")
        guest.check(f"until grep -q ':{PORT:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done")
        self.host.check(f"rm -f say; mkfifo say; busybox nc 127.0.0.1 {PORT} <say >heard & exec 4>say")
        for number, engine in enumerate(("interpreter", "translator", "kvm", "interpreter"), 1):
            before = self.count(guest)
            self.switch(engine)
            self.host.check(f"echo {engine} >&4; until grep -q '^{number} {engine}$' heard; do sleep 0.1; done")
            self.has_gone_on(guest, before)
        guest.check("cat /count >/mnt/count && umount /mnt && mount /dev/vda /mnt && [ -s /mnt/count ] && umount /mnt")
        self.assertRegex(self.host.check("strata stats live"), r"0 +kvm +port +\d+")
        self.host.check("exec 4>&-")
        self.power_off(guest)

    def test_a_pause_leaves_no_gap_in_its_time(self):
        """Between two looks at both clocks, the guest's has gone on by less than the host's did beside the pause."""
        guest = self.linux("--name live --net none")
        self.assertEqual(guest.check("cat /sys/devices/system/clocksource/clocksource0/current_clocksource"), "kvm-clock")
        for clock in ("kvm-clock", "tsc"):
            guest.check(f"echo {clock} >/sys/devices/system/clocksource/clocksource0/current_clocksource")
            begin, guest_begin = self.uptime(self.host), self.uptime(guest)
            self.host.check("strata pause live")
            paused = self.uptime(self.host)
            self.host.check("sleep 5")
            resumed = self.uptime(self.host)
            self.host.check("strata unpause live")
            guest_end, end = self.uptime(guest), self.uptime(self.host)
            self.assertGreaterEqual(resumed - paused, 500)
            self.assertGreaterEqual(guest_end, guest_begin)
            slack = 50 # of two clocks that are not quite the same
            self.assertLess(guest_end - guest_begin, end - begin - (resumed - paused) + slack, clock)
        self.power_off(guest)

    def test_the_processor_checks_the_interpreter(self):
        """From the first instruction on, and again when Linux works."""
        guest = self.start("--name live --net none", engine="lockstep-kvm")
        self.host.check("until strata stats live 2>/dev/null | grep -q lockstep-kvm; do sleep 0.1; done")
        self.wait_compared(10000)
        self.switch("kvm")
        guest.expect("^READY$")
        guest.quiet_prompt()
        self.count_in(guest)
        before = self.count(guest)
        self.switch("lockstep-kvm")
        self.wait_compared(25000)
        self.switch("kvm")
        self.has_gone_on(guest, before)
        self.power_off(guest)

    def wait_compared(self, instructions):
        """Until so many instructions of the machine were compared; a difference ends the machine, and this."""
        self.host.check("while n=$(strata stats live) && n=$(echo \"$n\" | sed -n 's/.*instructions-compared *//p') && "
                        f"[ $n -lt {instructions} ]; do sleep 1; done; [ ${{n:-0}} -ge {instructions} ] || "
                        "{ cat console; wait $guest; echo \"it ended with $?\"; dmesg | tail -n 5; false; }")

    def test_disk_and_network(self):
        """What the guest writes, the host reads; each serves the other a page."""
        disk = self.host.file("disk")
        self.host.check("rm -rf web && mkdir web && echo of the host >web/page")
        self.host.check(f"cp {disk} work.disk; busybox httpd -f -p 127.0.0.1:{PORT + 1} -h web & web=$!")
        self.addCleanup(self.host.check, "kill $web")
        guest = self.linux(f"--disk work.disk,format=raw -p 127.0.0.1:{PORT}:80")
        guest.check("mount -t ext4 /dev/vda /mnt && head -c 3000000 /dev/urandom >/mnt/random && sync")
        digest = guest.check("md5sum </mnt/random")
        guest.check("umount /mnt && echo 3 >/proc/sys/vm/drop_caches && mount -t ext4 /dev/vda /mnt")
        self.assertEqual(guest.check("md5sum </mnt/random"), digest)
        self.assertIn("10.0.2.15", guest.check("ip -4 addr show scope global"))
        self.assertEqual(guest.check(f"wget -q -O - http://10.0.2.2:{PORT + 1}/page"), "of the host")
        guest.check("mkdir /www && echo of the guest >/www/page && httpd -h /www && umount /mnt")
        self.assertEqual(self.host.check(f"busybox wget -q -O - http://127.0.0.1:{PORT}/page"), "of the guest")
        self.power_off(guest)
        self.host.check("e2fsck -fn work.disk >/dev/null 2>&1")
        self.assertEqual(self.host.check("debugfs -R 'cat /random' work.disk 2>/dev/null | md5sum"), digest)

    def test_the_generic_kernel(self):
        guest = self.linux("--net none", files="generic/")
        self.assertRegex(guest.check("uname -r"), r"^6\.1\.0-\d+-amd64$")
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


class BadHosts(unittest.TestCase):
    """Each gives one line with the way out. Always in an emulated host: others are not for us to break."""

    @classmethod
    def setUpClass(cls):
        if HOST.is_emulated:
            cls.host = HOST
        else:
            cls.host = kvm_host.EmulatedHost({"obedient": KERNELS / "obedient"})
            cls.addClassCleanup(cls.host.close)

    def break_host(self, command, repair):
        self.host.check(command)
        self.addCleanup(self.host.check, repair)

    def run_obedient(self, options, user="root"):
        command = (f"strata run {options} --net none --memory 16M --kernel {self.host.file('obedient')} "
                   "--append \"say=hello off\" </dev/null")
        return self.host.run(f"su {user} -s /bin/sh -c '{command}'")

    def refuses(self, message, hint, options=f"--engine kvm {CPU}", user="root"):
        status, output = self.run_obedient(options, user)
        self.assertEqual(status, 2)
        self.assertRegex(output, rf"\Astrata: {message}\n  hint: {hint}\Z")

    def refuses_engine(self, reason, **others):
        self.refuses(rf"engine kvm cannot run here: {reason}", "'strata engines' says what each needs", **others)

    def test_without_the_device(self):
        self.break_host("mv /dev/kvm /dev/away", "mv /dev/away /dev/kvm")
        reason = "cannot open /dev/kvm: No such file or directory; load the module: modprobe kvm_amd"
        self.refuses_engine(reason)
        self.assertIn(f"not here: {reason}", self.host.check("strata engines"))
        status, output = self.run_obedient(f"--engine auto {CPU}")
        self.assertEqual((status, output), (0, "strata: runs on the translator: engine kvm cannot run here: "
                                               f"{reason} ('strata engines' says what each needs)\nhello"))

    def test_without_permission(self):
        self.break_host("chmod 600 /dev/kvm", "chmod 666 /dev/kvm")
        self.refuses_engine("cannot open /dev/kvm: Permission denied; join its group: usermod -aG kvm USER, and log in again",
                            user="nobody")

    def test_something_else_has_the_device_s_name(self):
        self.break_host("mv /dev/kvm /dev/away && mknod /dev/kvm c 1 3", "mv /dev/away /dev/kvm")
        self.refuses_engine("/dev/kvm does not answer as KVM: Inappropriate ioctl for device; .*")

    def test_held_by_another_hypervisor(self):
        """The bit of the processor's that says so is set: EFER.SVME."""
        efer = 0xC0000080 // 8 # in the device's units of 8 bytes
        self.host.check(f"dd if=/dev/cpu/0/msr of=efer bs=8 count=1 skip={efer} 2>/dev/null")
        value = int(self.host.check("od -An -tx8 efer"), 16)
        write = f"dd of=/dev/cpu/0/msr bs=8 count=1 seek={efer} conv=notrunc 2>/dev/null"
        held = (value | 1 << 12).to_bytes(8, "little")
        octal = "".join(f"\\{byte:03o}" for byte in held)
        self.break_host(f"printf '{octal}' | {write}", f"{write} <efer")
        self.refuses_engine("cannot create a machine by /dev/kvm: Device or resource busy; another hypervisor "
                            r"\(VirtualBox, VMware\) holds the processor: stop its machines, or unload its module")

    def test_a_model_that_it_can_not_give(self):
        self.refuses(r"the host's processor can't give the CPU model core2: it lacks vme constant_tsc",
                     r"leave out what is missing \(--cpu core2,-vme,-constant_tsc\), take --cpu max, or another --engine",
                     options="--engine kvm --cpu core2")


if __name__ == "__main__":
    unittest.main()
