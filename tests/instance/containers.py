"""What the tests of containers share: an image with busybox, made and imported here."""
import os
import subprocess
import tarfile
import time
import unittest
from pathlib import Path

from tools import Host, run, tar

BUSYBOX = Path("/bin/busybox")


def busybox_root():
    """A root file system's archive with every applet of busybox."""
    entries = []
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root", "home"):
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        entries.append(info)
    program = tarfile.TarInfo("bin/busybox")
    program.mode = 0o755
    entries.append((program, BUSYBOX.read_bytes()))
    for applet in run(BUSYBOX, "--list").split():
        if applet != "busybox":
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            entries.append(info)
    for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1001:u:/home/user:/bin/sh\n"),
                       ("etc/group", "root:x:0:\nusers:x:1001:\nextra:x:2000:user\n"), ("etc/kept", "image\n")):
        entries.append((name, text.encode()))
    return tar(*entries)


class ContainerTest(unittest.TestCase):
    def setUp(self):
        self.host = self.make_host()
        self.addCleanup(self.host.__exit__)
        self.addCleanup(self.remove_all)
        self.host.environment.pop("SOURCE_DATE_EPOCH")
        (self.host / "root.tar").write_bytes(busybox_root())
        self.host.strata("import", "-c", 'CMD ["sh"]', self.host / "root.tar", "box")

    def make_host(self):
        host = Host()
        host.environment["STRATA_STATE"] = str(host / "state")
        return host

    def remove_all(self):
        self.host.write_settings()
        command = [*self.host.prefix, os.environ["STRATA"]]
        ids = subprocess.run([*command, "ps", "-aq"], env=self.host.environment, capture_output=True, text=True).stdout.split()
        if ids:
            subprocess.run([*command, "rm", "-f", *ids], env=self.host.environment, capture_output=True)
        subprocess.run([*command, "network", "prune"], env=self.host.environment, capture_output=True) # the bridges

    def strata(self, *arguments, **options):
        return self.host.strata(*arguments, **options)

    def run_box(self, *command, options=(), **more):
        return self.strata("run", "--rm", "--network", "none", *options, "box", *command, **more)

    def start_box(self, *command, options=()):
        return self.strata("run", "-d", "--network", "none", *options, "box", *command).strip()

    def state_of(self, name):
        return self.strata("ps", "-a", "--no-trunc", "--filter", f"id={name}", "--format", "{{.State}}").strip()

    def succeeds(self, *arguments):
        process = self.host.start(*arguments)
        process.communicate(timeout=100)
        return process.returncode == 0

    def remove_all_of(self, names):
        """One that goes by itself meanwhile is no mistake of the command's; the next look does not find it."""
        self.wait_for(lambda: self.succeeds("rm", "-f", *names))

    def monitor_of(self, name):
        """The process that has the container's lock open; processes come and go meanwhile."""
        lock = str(self.host / f"state/containers/{name}/lock")
        for process in filter(str.isdigit, os.listdir("/proc")):
            place = f"/proc/{process}/fd"
            try:
                files = os.listdir(place)
            except OSError:
                continue # it ended
            for file in files:
                try:
                    if os.readlink(f"{place}/{file}") == lock:
                        return int(process)
                except OSError:
                    pass # closed
        return None

    def wait_for(self, what):
        deadline = time.monotonic() + 60
        while not what():
            self.assertLess(time.monotonic(), deadline, "it never came to be")
            time.sleep(0.02)
