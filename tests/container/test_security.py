"""The known ways out of a container, each tried (docs/security.md)."""
import ctypes
import errno
import hashlib
import json
import os
import tempfile
import threading
import unittest
from pathlib import Path

from case import RuntimeTestCase, cgroups, eventually
from oci import STRATA_OCI, mount, new_id


class OwnExecutableTestCase(RuntimeTestCase):
    """CVE-2019-5736."""

    def assert_not_writable(self, path):
        with self.assertRaises(OSError) as caught:
            fd = os.open(path, os.O_WRONLY)
            os.write(fd, b"x")
        self.assertIn(caught.exception.errno, (errno.EROFS, errno.EPERM, errno.ETXTBSY, errno.EACCES))
        return caught.exception.errno

    def test_of_the_waiting_process(self):
        container = self.created(self.bundle("sleep", "1000"))
        pid = self.runtime.state(container)["pid"]
        own = os.stat(STRATA_OCI).st_size
        self.assertEqual(os.stat(f"/proc/{pid}/exe").st_size, own)
        held = os.open(f"/proc/{pid}/exe", os.O_PATH)
        self.assert_not_writable(f"/proc/self/fd/{held}")
        self.runtime("start", container)
        eventually(lambda: os.stat(f"/proc/{pid}/exe").st_size != own, "the program")
        # Nobody runs it any more, so "text file busy" protects it no longer.
        self.assertNotEqual(self.assert_not_writable(f"/proc/self/fd/{held}"), errno.ETXTBSY)
        os.close(held)

    def test_as_an_interpreter_from_the_image(self):
        before = hashlib.sha256(Path(STRATA_OCI).read_bytes()).digest()
        bundle = self.bundle("/evil")
        evil = Path(bundle.rootfs, "evil")
        evil.write_text("#!/proc/self/exe\n")
        evil.chmod(0o755)
        self.assertNotEqual(self.run_bundle(bundle, check=False).returncode, 0)
        self.assertEqual(hashlib.sha256(Path(STRATA_OCI).read_bytes()).digest(), before)


class DescriptorsTestCase(RuntimeTestCase):
    """CVE-2024-21626."""

    def test_what_a_waiting_process_holds(self):
        container = self.created(self.bundle("sleep", "1000"))
        pid = self.runtime.state(container)["pid"]
        held = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        beyond = [target for fd, target in held.items() if fd > 2]
        self.assertEqual([os.path.basename(target) for target in beyond], ["start.fifo"])

    def assert_inside(self, done):
        """Refused, or the container's own root, which is open while the container is set up."""
        self.assertTrue(done.returncode != 0 or done.stdout == "/\nbin dev etc mnt proc root sys tmp\n", done.stdout)

    def test_no_working_directory_outside(self):
        look = ["sh", "-c", "pwd; echo *"]
        for number in range(3, 24):
            bundle = self.bundle(*look)
            bundle.process["cwd"] = f"/proc/self/fd/{number}"
            self.assert_inside(self.run_bundle(bundle, check=False))
        container = self.started()
        for number in range(3, 24):
            self.assert_inside(self.runtime("exec", "--cwd", f"/proc/self/fd/{number}", container, *look, check=False))

    def test_a_joining_process_has_nothing_of_the_hosts(self):
        container = self.started()
        listed = self.runtime("exec", container, "ls", "-l", "/proc/self/fd").stdout
        self.assertLessEqual(len([line for line in listed.splitlines() if "->" in line]), 4, listed)  # 3 is the directory


class PathsTestCase(RuntimeTestCase):
    """CVE-2021-30465, CVE-2019-19921, CVE-2023-27561, CVE-2025-52881, CVE-2026-41579."""

    def setUp(self):
        super().setUp()
        self.outside = tempfile.mkdtemp(prefix="outside-")
        self.addCleanup(lambda: os.path.isdir(self.outside) and os.rmdir(self.outside))

    def assert_untouched(self):
        self.assertEqual(os.listdir(self.outside), [])
        self.assertNotIn(self.outside, Path("/proc/self/mountinfo").read_text())

    def test_links_as_mount_points(self):
        for target in (self.outside, "../" * 20 + self.outside.lstrip("/")):
            bundle = self.bundle("ls", "/")
            os.symlink(target, os.path.join(bundle.rootfs, "link"))
            bundle.config["mounts"] += [mount("/link/a", "tmpfs"), mount("/link/file", "bind", "/etc/hostname", ["bind"])]
            self.run_bundle(bundle)
            self.assert_untouched()

    def test_links_under_devices(self):
        bundle = self.bundle("true")
        os.symlink(self.outside, os.path.join(bundle.rootfs, "link"))
        bundle.linux["devices"] = [{"path": "/link/d", "type": "c", "major": 1, "minor": 3}]
        self.run_bundle(bundle, check=False)
        self.assert_untouched()

    def test_linked_dev_is_refused(self):
        bundle = self.bundle("true")
        os.rmdir(os.path.join(bundle.rootfs, "dev"))
        os.symlink(self.outside, os.path.join(bundle.rootfs, "dev"))
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")]
        self.assertNotEqual(self.run_bundle(bundle, check=False).returncode, 0)
        self.assert_untouched()

    def test_linked_proc_is_refused(self):
        for name in ("proc", "sys"):
            bundle = self.bundle("true")
            os.rmdir(os.path.join(bundle.rootfs, name))
            os.symlink("tmp", os.path.join(bundle.rootfs, name))
            done = self.run_bundle(bundle, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("must be mounted on a directory", done.stderr)

    def test_binds_over_proc_are_refused(self):
        for place in ("/proc", "/proc/self", "/proc/sys/kernel"):
            bundle = self.bundle("true")
            bundle.config["mounts"].append(mount(place, "bind", "/tmp", ["bind"]))
            self.assertNotEqual(self.run_bundle(bundle, check=False).returncode, 0, place)

    def test_exchanged_links(self):
        """A directory and a link to outside change places while containers are made."""
        bundle = self.bundle("true")
        plain, link = (os.path.join(bundle.rootfs, name) for name in ("place", "other"))
        os.mkdir(plain)
        os.symlink(self.outside, link)
        bundle.config["mounts"] += [mount("/place/deep/a", "tmpfs"), mount("/place/b", "bind", "/etc/hostname", ["bind"])]
        libc = ctypes.CDLL(None, use_errno=True)
        stop = threading.Event()

        def exchange():
            while not stop.is_set():
                libc.renameat2(-100, plain.encode(), -100, link.encode(), 2)

        thread = threading.Thread(target=exchange)
        thread.start()
        try:
            for _ in range(30):
                self.run_bundle(bundle, check=False)
                self.assert_untouched()
        finally:
            stop.set()
            thread.join()


class MasksTestCase(RuntimeTestCase):
    """CVE-2025-31133, CVE-2025-52565."""

    def test_the_images_null_device_is_not_used(self):
        bundle = self.bundle("cat", "/proc/version")
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")]
        os.symlink("/etc/passwd", os.path.join(bundle.rootfs, "dev/null"))
        bundle.linux["maskedPaths"] = ["/proc/version"]
        self.assertEqual(self.output(bundle), "")

    def test_console_is_not_a_link(self):
        bundle = self.bundle("true")
        victim = Path(bundle.rootfs, "etc/passwd")
        before = victim.read_text()
        os.symlink("/etc/passwd", os.path.join(bundle.rootfs, "dev/console"))
        self.run_bundle(bundle)
        self.assertEqual(victim.read_text(), before)


class TracingTestCase(RuntimeTestCase):
    """A process of the runtime's that is inside already is not to be looked into, or changed, by those who are."""

    def numbers(self, pid):
        """Its number on this host, and in its own namespace."""
        line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:"))
        return line.split()[1:]

    def test_a_waiting_process(self):
        """From a container that has the same user, capabilities and PIDs; what it becomes can be looked into."""
        first = self.started()
        bundle = self.bundle("sleep", "1000")
        bundle.namespace("pid", path=f"/proc/{self.runtime.state(first)['pid']}/ns/pid")
        second = self.created(bundle)
        number = self.numbers(self.runtime.state(second)["pid"])[-1]
        look = lambda name: self.runtime("exec", first, "readlink", f"/proc/{number}/{name}", check=False).stdout
        seen = self.runtime("exec", first, "cat", f"/proc/{number}/stat").stdout
        self.assertTrue(seen.startswith(f"{number} ("), seen) # it is there
        for name in ("exe", "cwd", "root", "fd/0", "ns/mnt"):
            self.assertEqual(look(name), "", name)
        self.assertEqual(self.runtime("exec", first, "cat", f"/proc/{number}/maps", check=False).stdout, "")
        self.runtime("start", second)
        eventually(lambda: look("exe") == "/bin/busybox\n", "its program")
        self.assertEqual(look("cwd"), "/\n")


class MalformedTestCase(RuntimeTestCase):
    def refused(self, change):
        """The error of a bundle whose configuration was changed; it must be one line, and leave nothing."""
        bundle = self.bundle("true")
        container = new_id()
        bundle.write()
        text = change(json.loads(Path(bundle.path, "config.json").read_text()))
        Path(bundle.path, "config.json").write_text(text if isinstance(text, str) else json.dumps(text))
        done = self.runtime("run", "--bundle", bundle.path, container, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(os.listdir(self.runtime.root), [])
        self.assertEqual(cgroups(container), [])
        return done.stderr

    def test_each_names_its_member(self):
        def change(path, value):
            def apply(config):
                *parents, last = path.split(".")
                node = config
                for name in parents:
                    node = node.setdefault(name, {})
                node[last] = value
                return config
            return apply

        for path, value in (("ociVersion", 1), ("root.path", 5), ("process.args", []), ("process.cwd", "relative"), ("process.user.uid", -1), ("process.user.gid", 4294967295),
                            ("process.rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]), ("mounts", {}), ("hooks.prestart", [{}]),
                            ("linux.namespaces", [{"type": "mount"}, {"type": "mount"}]), ("linux.resources.memory.limit", "1g"),
                            ("linux.seccomp.defaultAction", "ALLOW"), ("linux.cgroupsPath", "/a/../../b")):
            self.assertIn(path.split("[")[0], self.refused(change(path, value)).replace("[0]", "").replace("[1]", ""), path)

    def test_users_of_an_exec(self):
        """CVE-2026-30892: what is no number is nobody, and not root."""
        container = self.started()
        for user in ("-1", "1x", "0x10", " 1", "4294967295", "4294967296", "99999999999999999999", "1:", ":1", "1:x", "root"):
            done = self.runtime("exec", "--user", user, container, "id", "-u", check=False)
            self.assertNotEqual(done.returncode, 0, user)
            self.assertEqual(done.stdout, "", user)
        self.assertEqual(self.runtime("exec", "--user", "1000:1001", container, "sh", "-c", "id -u; id -g").stdout, "1000\n1001\n")

    def test_what_is_not_json(self):
        for text in ("", "{", "[]", '{"a": 1, "a": 2}', "[" * 5000, "\x00"):
            self.assertIn("config.json", self.refused(lambda config: text))


if __name__ == "__main__":
    unittest.main()
