"""Real guests, end to end: Debian's kernels boot, use their devices, and power off."""
import functools
import http.server
import re
import subprocess
import threading
import unittest
import urllib.request

from guest import (CPUS, ENGINE, GUESTS, STRATA, Console, Folder, Guest, check_file_system, file_on_disk,
                   free_port, make_root_disk)


class Boot(unittest.TestCase):
    """A kernel boots to a shell from its initramfs, without complaint, and powers off."""

    def boot(self, flavour, release):
        with Guest(flavour, ["--net", "none"]) as guest:
            self.assertRegex(guest.check("uname -r"), release)
            self.assertEqual(guest.trouble(), [])
            self.assertEqual(guest.power_off(), 0)

    def test_cloud(self):
        self.boot("cloud", r"^6\.1\.0-\d+-cloud-amd64$")

    def test_amd64(self):
        self.boot("amd64", r"^6\.1\.0-\d+-amd64$")

    def test_686_pae(self):
        self.boot("686-pae", r"^6\.1\.0-\d+-686-pae$")


class Processors(unittest.TestCase):
    def test_two_processors_work(self):
        with Guest(options=["--cpus", "2", "--net", "none"]) as guest:
            self.assertEqual(guest.check("nproc"), "2")
            both = guest.check("(for c in 0 1; do taskset $((1 << c)) sh -c 'n=0; while [ $n -lt 3000 ]; do "
                               "n=$((n+1)); done; echo cpu $(cut -d\" \" -f39 /proc/self/stat)' & done; wait)")
            self.assertEqual(sorted(both.splitlines()), ["cpu 0", "cpu 1"])
            # Pages shared and unmapped by both: TLB shoot-downs.
            guest.check("(for i in 1 2 3 4; do (head -c 2000000 /dev/zero | md5sum >/dev/null) & done; wait)")
            counts = re.search(r"LOC:\s+(\d+)\s+(\d+)", guest.check("cat /proc/interrupts"))
            self.assertGreater(int(counts[1]), 0)
            self.assertGreater(int(counts[2]), 0)
            self.assertEqual(guest.trouble(), [])
            self.assertEqual(guest.power_off(), 0)


class Disks(unittest.TestCase):
    """A guest with its root on a virtio disk; what it writes, the host reads."""

    def root_disk(self, flavour, image, spec):
        with Guest(flavour, ["--net", "none", "--disk", spec], append="root=/dev/vda") as guest:
            self.assertIn("/dev/vda on / type ext4", guest.check("mount"))
            guest.check("echo written by the guest >/note; head -c 3000000 /dev/urandom >/random; sync")
            digest = guest.check("md5sum </random").split()[0]
            guest.check("echo 3 >/proc/sys/vm/drop_caches")
            self.assertEqual(guest.check("md5sum </random").split()[0], digest)
            guest.check("mount -o remount,ro /")
            self.assertEqual(guest.trouble(), [])
            self.assertEqual(guest.power_off(), 0)
        self.assertEqual(check_file_system(image()), 0)
        self.assertEqual(file_on_disk(image(), "/note"), "written by the guest\n")

    def raw(self, flavour):
        with Folder() as folder:
            disk = folder / "disk.img"
            make_root_disk(flavour, disk)
            self.root_disk(flavour, lambda: disk, f"{disk},format=raw")

    def test_cloud_raw(self):
        self.raw("cloud")

    def test_amd64_raw(self):
        self.raw("amd64")

    def test_686_pae_raw(self):
        self.raw("686-pae")

    def test_cloud_qcow2_over_raw(self):
        with Folder() as folder:
            base, disk, flat = folder / "base.img", folder / "disk.qcow2", folder / "flat.img"
            make_root_disk("cloud", base)
            subprocess.run([STRATA, "disk", "create", "--backing", base, "--backing-format", "raw", disk], check=True,
                           stdout=subprocess.DEVNULL)

            def image():
                self.assertEqual(subprocess.run(["qemu-img", "check", "-q", disk]).returncode, 0)
                subprocess.run(["qemu-img", "convert", "-O", "raw", disk, flat], check=True)
                return flat

            self.root_disk("cloud", image, f"{disk}")


class Network(unittest.TestCase):
    def test_both_ways(self):
        with Folder() as folder:
            (folder / "page").write_text("served by the host\n")
            handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
            handler.log_message = lambda *_: None
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            port = free_port()
            with Guest(options=["--net", "user", "-p", f"127.0.0.1:{port}:80"]) as guest:
                self.assertIn("10.0.2.15", guest.check("ip -4 addr show scope global"))
                guest.check("ping -c 1 -W 5 10.0.2.2")
                url = f"http://10.0.2.2:{server.server_port}/page"
                self.assertEqual(guest.check(f"wget -q -O - {url}"), "served by the host")
                guest.check("mkdir -p /www && echo served by the guest >/www/page && httpd -h /www")
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=60) as answer:
                    self.assertEqual(answer.read(), b"served by the guest\n")
                self.assertEqual(guest.trouble(), [])
                self.assertEqual(guest.power_off(), 0)
            server.shutdown()
            server.server_close()


class Ends(unittest.TestCase):
    """How a machine ends reaches the caller as an exit status (docs/strata-run.md)."""

    def start(self, append):
        folder = GUESTS / "cloud"
        return Console([STRATA, "run", *ENGINE, *CPUS, "--kernel", folder / "vmlinuz", "--initrd", folder / "initrd.gz", "--net", "none",
                        "--append", f"console=ttyS0 {append}"])

    def test_panic(self):
        console = self.start("rdinit=/nowhere panic=-1 reboot=t")
        try:
            console.expect("Kernel panic")
            self.assertNotEqual(console.wait(), 0)
        finally:
            console.close()


if __name__ == "__main__":
    unittest.main()
