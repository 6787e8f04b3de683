"""Containers where overlayfs cannot be used: their layers are copied. Here the state is on an overlayfs itself, as in a
container, which the kernel does not take for another one's upper directory."""
import tarfile
import unittest

from containers import ContainerTest, busybox_root
from tools import Image, layout, run, tar


def second_layer():
    device = tarfile.TarInfo("zero")
    device.type, device.mode, device.devmajor, device.devminor = tarfile.CHRTYPE, 0o666, 1, 5
    return tar(device, ("etc/.wh.kept", b""), ("home/.wh..wh..opq", b""), ("home/new", b"new\n"), ("etc/other", b"other\n"))


class Copied(ContainerTest):
    def make_host(self):
        host = super().make_host()
        for name in ("lower", "upper", "work", "state"):
            (host / name).mkdir()
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={host / 'lower'},upperdir={host / 'upper'},workdir={host / 'work'}", host / "state")
        self.addCleanup(run, "umount", host / "state")
        return host

    def test_runs_in_a_copy(self):
        name = self.start_box("sleep", "1000")
        self.assertTrue((self.host / f"state/containers/{name}/flat/etc/kept").exists())
        self.assertEqual(self.strata("exec", name, "cat", "/etc/kept"), "image\n")
        self.strata("rm", "-f", name)
        self.run_box("sh", "-c", "echo changed > /etc/kept; rm /bin/ls")
        self.assertEqual(self.run_box("cat", "/etc/kept"), "image\n")
        self.run_box("ls", "/", options=["--read-only"])
        self.assertEqual(list((self.host / "state/containers").iterdir()), [])

    def test_layers_are_applied(self):
        layout(Image(busybox_root(), second_layer()), "quay.io/two:1", self.host / "two.tar")
        self.strata("load", "-i", self.host / "two.tar")
        seen = self.strata("run", "--rm", "--network", "none", "quay.io/two:1", "sh", "-c",
                           "cat /etc/other; ls /home; ls /etc/kept; head -c 1 /zero; true").split("\n")
        self.assertEqual(seen[:2], ["other", "new"])
        self.assertEqual(seen[2:], [""]) # neither the file that is gone nor a device of the image

    def test_changes_stay_with_the_container(self):
        name = self.start_box("sh", "-c", "cat /etc/kept; echo again > /etc/kept")
        self.strata("wait", name)
        self.strata("start", "-a", name)
        self.assertEqual(self.strata("logs", name), "image\nagain\n")
        self.strata("cp", f"{name}:/etc/kept", self.host / "out")
        self.assertEqual((self.host / "out").read_text(), "again\n")
        self.strata("export", "-o", self.host / "flat.tar", name)
        with tarfile.open(self.host / "flat.tar") as archive:
            self.assertEqual(archive.extractfile("etc/kept").read(), b"again\n")

    def test_diff_and_commit(self):
        name = self.start_box("sh", "-c", "echo more >> /etc/kept; rm /bin/ls; rm -r /home; mkdir /new; ln -s kept /etc/link; "
                              "echo n > /new/file; ln /new/file /new/again; chmod 700 /root; cat /etc/passwd > /dev/null")
        self.strata("wait", name)
        seen = self.strata("diff", name).splitlines()
        for line in ("C /etc", "C /etc/kept", "A /etc/link", "D /bin/ls", "D /home", "A /new", "A /new/file", "A /new/again", "C /root"):
            self.assertIn(line, seen)
        self.assertFalse([line for line in seen if line.endswith(("/etc/passwd", "/bin/busybox"))])
        self.strata("commit", "-m", "mine", name, "box:mine")
        seen = self.strata("run", "--rm", "--network", "none", "box:mine", "sh", "-c",
                           "cat /etc/kept /etc/link /new/again; ls -d /bin/ls /home; stat -c %a /root; true").splitlines()
        self.assertEqual(seen, ["image", "more", "image", "more", "n", "700"])
        self.assertIn("mine", self.strata("history", "box:mine"))

    def test_a_copy_that_was_broken_off_is_made_again(self):
        name = self.strata("create", "--network", "none", "box", "sh", "-c", "ls /; cat /etc/kept").strip()
        half = self.host / f"state/containers/{name}/flat.half"
        (half / "junk").mkdir(parents=True)
        seen = self.strata("start", "-a", name)
        self.assertIn("image\n", seen)
        self.assertNotIn("junk", seen)
        self.assertFalse(half.exists())


if __name__ == "__main__":
    unittest.main()
