"""SELinux, on a host that has it, with a policy loaded (selinux.conf) and enforced."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from case import RuntimeTestCase, eventually
from checkpoints import COUNT, CheckpointCase
from oci import new_id

BOX, SECRET = (f"base_u:base_r:{kind}" for kind in ("box_t", "secret_t"))
LOOK = "tr -d '\\0' </proc/self/attr/current; echo; cat /secret || echo refused; cat /open"


def setUpModule():
    subprocess.run(["mount", "-t", "selinuxfs", "selinuxfs", "/sys/fs/selinux"], check=True)
    Path("/sys/fs/selinux/load").write_bytes(Path("/strata/policy").read_bytes())
    Path("/sys/fs/selinux/enforce").write_text("1")


class SELinuxTestCase(RuntimeTestCase):
    def labelled(self, script):
        bundle = self.bundle(script=script)
        for name in ("secret", "open"):
            Path(bundle.rootfs, name).write_text(f"{name}\n")
        os.setxattr(Path(bundle.rootfs, "secret"), "security.selinux", SECRET.encode() + b"\0")
        bundle.process["selinuxLabel"] = BOX
        return bundle

    def test_label_of_the_program(self):
        """It is confined as the label says, and so is one that enters; as with crun."""
        for name in ("crun", "strata"):
            self.runtime.name = name
            self.assertEqual(self.output(self.labelled(LOOK)), f"{BOX}\nrefused\nopen\n", name)
            bundle = self.labelled("sleep 1000")
            container = self.started(bundle)
            self.assertEqual(self.runtime("exec", container, "sh", "-c", LOOK).stdout, f"{BOX}\nrefused\nopen\n", name)
            del bundle.process["selinuxLabel"]
            bundle.process["args"] = ["sh", "-c", LOOK]
            self.assertEqual(self.output(bundle), "base_u:base_r:base_t\nsecret\nopen\n", name)

    def test_label_of_mounts(self):
        """Files of its own file systems have it."""
        for name in ("crun", "strata"):
            self.runtime.name = name
            bundle = self.labelled("touch /dev/shm/file /ready; sleep 1000")
            bundle.linux["mountLabel"] = BOX
            container = self.started(bundle)
            eventually(Path(bundle.rootfs, "ready").exists, "its file")
            root = f"/proc/{self.runtime.state(container)['pid']}/root"
            for path in ("dev/shm/file", "dev/shm", "dev/pts", "dev/mqueue"):
                self.assertEqual(os.getxattr(f"{root}/{path}", "security.selinux"), BOX.encode() + b"\0", (name, path))
            self.assertTrue(os.getxattr(f"{root}/open", "security.selinux").endswith(b":base_t\0"), name)

    def test_a_label_that_there_is_not(self):
        bundle = self.labelled("true")
        bundle.process["selinuxLabel"] = "base_u:base_r:no_such_t"
        done = self.run_bundle(bundle, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("process.selinuxLabel", done.stderr)
        self.assertIn("no_such_t", done.stderr)


class RestoreTestCase(CheckpointCase):
    def test_another_label_of_mounts(self):
        """The files of a checkpoint come back with the label that the restore names."""
        bundle, container = self.bundle(script=f"touch /dev/shm/file; {COUNT}"), new_id()
        bundle.linux["mountLabel"] = BOX
        label = lambda: os.getxattr(f"/proc/{self.runtime.state(container)['pid']}/root/dev/shm/file", "security.selinux")
        self.detached("run", bundle, container)
        self.passes(bundle, 2)
        self.assertEqual(label(), BOX.encode() + b"\0")
        self.runtime("checkpoint", "--image-path", self.images, container)
        saved = self.numbers(bundle)[-1]
        self.restore(bundle, container, "--lsm-mount-context", SECRET)
        self.passes(bundle, saved + 2)
        self.assertEqual(label(), SECRET.encode() + b"\0")


if __name__ == "__main__":
    unittest.main()
