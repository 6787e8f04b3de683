"""What CRIU is asked to do otherwise, by flags of checkpoint and restore: each where it matters."""
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import unittest
from pathlib import Path

from checkpoints import COUNT, CheckpointCase, eventually, new_id
from oci import mount

# Counts into a connection; who reads it writes what comes down.
COUNT_BY_TCP = """
nc -l -p 1000 -e sh -c 'exec 5>>/count; while read n; do echo $n >&5; done' &
count() { n=0; while :; do n=$((n + 1)); echo $n; sleep 0.05; done; }
until count | nc 127.0.0.1 1000; do sleep 0.1; done
"""
COUNT_TO_SOCKET = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(sys.argv[1])
n = 0
while True:
    n += 1
    s.send(b"%d" % n)
    time.sleep(0.05)
"""
COUNT_WITH_A_LOCK = """
import fcntl, time
lock = open("/lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
n = 0
while True:
    n += 1
    print(n, file=open("/count", "a"))
    time.sleep(0.05)
"""
PROFILES = "".join(f"profile strata-{name} flags=(attach_disconnected,mediate_deleted) {{\n  file, capability, signal, ptrace, mount, umount,\n}}\n"
                   for name in ("before", "after"))


class CheckpointFlagsTestCase(CheckpointCase):
    def run_it(self, bundle):
        container = new_id()
        self.detached("run", bundle, container)
        self.passes(bundle, 2)
        return container

    def goes_on(self, bundle, container, *flags, restore=None):
        """Saved with the flags, and restored with them, or others, it counts on."""
        self.runtime("checkpoint", "--image-path", self.images, *flags, container)
        saved = self.numbers(bundle)[-1]
        self.restore(bundle, container, *(flags if restore is None else restore))
        self.passes(bundle, saved + 2)
        numbers = self.numbers(bundle)
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))

    def pid(self, container):
        return self.runtime.state(container)["pid"]

    def python_bundle(self, script, *arguments):
        """A program of this host's Python, with its files."""
        bundle = self.bundle(sys.executable, "-c", script, *arguments)
        for name in ("lib", "lib64"):
            os.symlink(f"usr/{name}", os.path.join(bundle.rootfs, name))
        for folder in ("/usr", sys.base_prefix):
            bundle.config["mounts"].append(mount(folder, "bind", folder, ["rbind", "ro"]))
        return bundle

    def test_file_locks(self):
        bundle = self.python_bundle(COUNT_WITH_A_LOCK)
        container = self.run_it(bundle)
        self.assertIn("lock", self.refused("checkpoint", "--image-path", self.images, container))
        self.goes_on(bundle, container, "--file-locks")
        with open(os.path.join(bundle.rootfs, "lock"), "w") as file, self.assertRaises(BlockingIOError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def tcp_bundle(self):
        bundle = self.bundle(script=COUNT_BY_TCP, network=True)
        bundle.process["capabilities"]["effective"].append("CAP_NET_ADMIN")
        return bundle

    def test_tcp_established(self):
        bundle = self.tcp_bundle()
        container = self.run_it(bundle)
        self.assertIn("TCP", self.refused("checkpoint", "--image-path", self.images, container))
        self.goes_on(bundle, container, "--tcp-established")

    def test_a_file_of_options(self):
        """As the annotation names it; CRIU reads it at both ends."""
        bundle = self.tcp_bundle()
        file = Path(bundle.path, "criu.conf")
        file.write_text("tcp-established\n")
        bundle.config["annotations"] = {"org.criu.config": str(file)}
        self.goes_on(bundle, self.run_it(bundle))

    def test_external_unix_sockets(self):
        """A datagram socket that is connected to one of the host's, which goes by its path."""
        place = os.path.join(self.folder, "data")
        os.mkdir(place)
        path = os.path.join(place, "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            listener.settimeout(600)
            bundle, container = self.python_bundle(COUNT_TO_SOCKET, path), new_id()
            bundle.config["mounts"].append(mount(place, "bind", place, ["rbind"]))
            self.detached("run", bundle, container)
            while int(listener.recv(100)) < 3:
                pass
            self.assertIn("unix", self.refused("checkpoint", "--image-path", self.images, container).lower())
            self.runtime("checkpoint", "--image-path", self.images, "--ext-unix-sk", container)
            listener.setblocking(False)
            try:
                while True:
                    saved = int(listener.recv(100))
            except BlockingIOError:
                pass # those were all
            listener.settimeout(600)
            self.restore(bundle, container, "--ext-unix-sk")
            self.assertEqual(int(listener.recv(100)), saved + 1)

    def test_managed_cgroups(self):
        """Where the container's group is as it was, each way restores into it, with its limits."""
        for mode in ("ignore", "soft", "full", "strict"):
            bundle = self.bundle(script=COUNT)
            bundle.linux["resources"]["pids"] = {"limit": 50}
            container = self.run_it(bundle)
            self.goes_on(bundle, container, "--manage-cgroups-mode", mode)
            group = Path(f"/proc/{self.pid(container)}/cgroup").read_text().strip().removeprefix("0::")
            self.assertTrue(group.endswith(container), group)
            self.assertEqual(Path(f"/sys/fs/cgroup{group}/pids.max").read_text(), "50\n")
            self.runtime("checkpoint", "--image-path", os.path.join(self.folder, mode), container)
            shutil.rmtree(self.images)
        group = Path("/sys/fs/cgroup", container)
        group.mkdir()
        self.assertIn("is there already", self.refused("restore", "--image-path", os.path.join(self.folder, mode), "--manage-cgroups-mode",
                                                       "strict", "--bundle", bundle.path, container))
        group.rmdir()

    def in_network(self, container, *command):
        return subprocess.run(["nsenter", "--net", "-t", str(self.pid(container)), *command], check=True, capture_output=True, text=True).stdout

    def test_empty_network(self):
        """Another makes the network anew, as Podman does; without the flag it comes back."""
        for flags, kept in (([], True), (["--empty-ns", "network"], False)):
            bundle = self.bundle(script=COUNT, network=True)
            container = self.run_it(bundle)
            self.in_network(container, "ip", "address", "add", "10.99.0.1/32", "dev", "lo")
            self.goes_on(bundle, container, *flags)
            self.assertEqual("10.99.0.1" in self.in_network(container, "ip", "address"), kept)
            self.runtime("delete", "--force", container)
            shutil.rmtree(self.images)

    def allocated(self, folder):
        return sum(file.stat().st_blocks for file in Path(folder).glob("pages-*.img"))

    def test_auto_dedup(self):
        """What has changed since is taken out of the earlier images."""
        kept = {}
        for flags in ([], ["--auto-dedup"]):
            bundle = self.bundle(script=COUNT)
            container = self.run_it(bundle)
            first = os.path.join(self.folder, "first")
            self.runtime("checkpoint", "--pre-dump", "--image-path", first, container)
            before = self.allocated(first)
            self.passes(bundle, self.numbers(bundle)[-1] + 2)
            self.goes_on(bundle, container, "--parent-path", "../first", *flags, restore=[])
            kept[bool(flags)] = (before, self.allocated(first))
            self.runtime("delete", "--force", container)
            shutil.rmtree(self.images)
            shutil.rmtree(first)
        self.assertEqual(*kept[False])
        self.assertLess(kept[True][1], kept[True][0])

    def criu(self, *words):
        process = subprocess.Popen(["criu", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def listens(self, port):
        """Going by the kernel's list: a connection would be taken for the one that is awaited."""
        wanted = f":{port:04X} "
        return any(wanted in line and " 0A " in line for line in Path("/proc/net/tcp").read_text().splitlines()[1:])

    def test_page_server(self):
        """Memory goes to another program, here on the same host; the rest to the images."""
        bundle = self.bundle(script=COUNT)
        container = self.run_it(bundle)
        pages = os.path.join(self.folder, "pages")
        os.mkdir(pages)
        server = self.criu("page-server", "--images-dir", pages, "--port", "2700")
        eventually(lambda: self.listens(2700), "the page server")
        self.runtime("checkpoint", "--image-path", self.images, "--page-server", "127.0.0.1:2700", container)
        self.assertEqual(server.wait(600), 0)
        self.assertEqual(list(Path(self.images).glob("pages-*.img")), [])
        for file in Path(pages).glob("page*.img"):
            shutil.copy(file, self.images)
        saved = self.numbers(bundle)[-1]
        self.restore(bundle, container)
        self.passes(bundle, saved + 2)

    def test_lazy_pages(self):
        """It runs at the other end before its memory is there, which comes as it is touched: `criu lazy-pages` asks the
        checkpoint for it, which says by the descriptor when it can be asked."""
        bundle = self.bundle(script=COUNT)
        container = self.run_it(bundle)
        reading, writing = os.pipe()
        program = [os.environ["STRATA_OCI"], "--root", self.runtime.root]
        saving = subprocess.Popen([*program, "checkpoint", "--image-path", self.images, "--lazy-pages", "--page-server", "127.0.0.1:2701",
                                   "--status-fd", str(writing), container], pass_fds=[writing])
        os.close(writing)
        self.assertEqual(os.read(reading, 1), b"\0")
        os.close(reading)
        saved = self.numbers(bundle)[-1]
        pages = self.criu("lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", "2701", "-D", self.images, "-W", self.images)
        eventually(Path(self.images, "lazy-pages.socket").exists, "its socket")
        self.restore(bundle, "another", "--lazy-pages")
        self.passes(bundle, saved + 2)
        self.assertEqual((saving.wait(600), pages.wait(600)), (0, 0))
        self.passes(bundle, self.numbers(bundle)[-1] + 2)
        self.assertEqual(self.runtime.state("another")["status"], "running")

    def test_shell_job(self):
        """A terminal of the caller's is one of its streams."""
        bundle, container = self.bundle(script="n=0; while read word; do n=$((n + 1)); echo $n >>/count; done"), new_id()
        program = [os.environ["STRATA_OCI"], "--root", self.runtime.root]
        for verb, number, flags in (("run", 1, []), ("restore", 2, ["--image-path", self.images, "--shell-job"])):
            master, slave = os.openpty()
            subprocess.run([*program, verb, "--detach", *flags, "--bundle", bundle.write(), container], check=True,
                           stdin=slave, stdout=slave, stderr=slave)
            os.close(slave)
            os.write(master, b"word\n")
            self.passes(bundle, number - 1)
            if verb == "run":
                self.runtime("checkpoint", "--shell-job", "--image-path", self.images, container)
            os.close(master)

    def test_another_profile(self):
        file = Path(self.folder, "profiles")
        file.write_text(PROFILES)
        subprocess.run(["apparmor_parser", "--skip-cache", "--replace", file], check=True, capture_output=True)
        bundle = self.bundle(script=COUNT)
        bundle.process["apparmorProfile"] = "strata-before"
        container = self.run_it(bundle)
        self.goes_on(bundle, container, restore=["--lsm-profile", "apparmor:strata-after"])
        self.assertEqual(Path(f"/proc/{self.pid(container)}/attr/current").read_text(), "strata-after (enforce)\n")

    def test_who_gets_orphans(self):
        """While `restore` waits it is their parent, unless it is not to be."""
        for flags in ([], ["--no-subreaper"]):
            bundle, container = self.bundle(script=f"({COUNT}) & until [ -e /go ]; do sleep 0.05; done; sh -c 'sh /orphan $$ &'; sleep 1000"), new_id()
            bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "pid"]
            Path(bundle.rootfs, "orphan").write_text(
                "parent() { cut -d' ' -f4 /proc/$$/stat; }\nwhile [ $(parent) = $1 ]; do sleep 0.01; done; parent > /new; mv /new /parent\n")
            self.detached("run", bundle, container)
            self.passes(bundle, 2)
            self.runtime("checkpoint", "--image-path", self.images, container)
            restore = subprocess.Popen([os.environ["STRATA_OCI"], "--root", self.runtime.root, "restore", *flags, "--image-path", self.images,
                                        "--bundle", bundle.path, container], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            parent = Path(bundle.rootfs, "parent")
            Path(bundle.rootfs, "go").touch()
            eventually(parent.exists, "the orphan's parent")
            self.assertEqual(int(parent.read_text()) == restore.pid, not flags)
            self.runtime("kill", container, "KILL")
            restore.wait(600)
            shutil.rmtree(self.images)

    def test_what_cannot_be(self):
        bundle = self.bundle(script=COUNT)
        container = self.run_it(bundle)
        self.runtime("checkpoint", "--image-path", self.images, container)
        self.assertIn("without pivoting", self.refused("restore", "--no-pivot", "--image-path", self.images, "--bundle", bundle.path, container))
        self.restore(bundle, container)


if __name__ == "__main__":
    unittest.main()
