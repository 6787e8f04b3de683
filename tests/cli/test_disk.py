"""strata disk create, info and convert beside qemu-img; what exists is safe, and nothing half is left."""
import hashlib
import json
import os
import signal
import subprocess
import time
import unittest

from command import FAILURE, STOPPED, strata
from guest import STRATA, Folder

MIB = 1 << 20


def qemu_img(*arguments):
    return subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def described(path):
    return json.loads(qemu_img("info", "--output=json", path))


class DiskTest(unittest.TestCase):
    def setUp(self):
        folder = Folder()
        self.folder = folder.__enter__()
        self.addCleanup(folder.__exit__)

    def strata(self, *arguments):
        done = strata("disk", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def refused(self, message, *arguments):
        done = strata("disk", *arguments)
        self.assertEqual(done.returncode, FAILURE)
        self.assertRegex(done.stderr, message)

    def contents(self, path):
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def patterned(self, name, size=8 * MIB + 512):
        """A raw image with data, zeros and holes."""
        path = self.folder / name
        with path.open("wb") as f:
            f.write(b"first sector".ljust(512, b"."))
            f.seek(3 * MIB - 100)
            f.write(os.urandom(70000))
            f.write(bytes(MIB))
            f.seek(size - 5)
            f.write(b"last.")
        return path


class Create(DiskTest):
    def test_qcow2(self):
        for name, options, cluster in (("a", [], 65536), ("b", ["--cluster-size", "4K"], 4096), ("c", ["--cluster-size", "2M"], 2 * MIB)):
            path = self.folder / name
            self.strata("create", *options, path, "20G")
            info = described(path)
            self.assertEqual((info["format"], info["virtual-size"], info["cluster-size"]), ("qcow2", 20 << 30, cluster))
            qemu_img("check", path)

    def test_raw(self):
        path = self.folder / "disk"
        self.strata("create", "--format", "raw", path, "64M")
        self.assertEqual(path.stat().st_size, 64 * MIB)
        self.assertEqual(path.stat().st_blocks, 0)

    def test_over_a_backing_file(self):
        base = self.patterned("base.img")
        self.strata("create", "--backing", "base.img", "--backing-format", "raw", self.folder / "over")
        info = described(self.folder / "over")
        self.assertEqual((info["backing-filename"], info["backing-filename-format"]), ("base.img", "raw"))
        qemu_img("compare", base, self.folder / "over")
        self.refused("the backing file's format is not stated", "create", "--backing", base, self.folder / "x")
        self.refused("backing file: cannot open disk .*missing: No such file", "create", "--backing", "missing",
                     "--backing-format", "raw", self.folder / "x", "1M")
        self.refused("a raw image cannot have a backing file", "create", "--format", "raw", "--backing", base, self.folder / "x")
        self.refused("the size of the disk is missing", "create", self.folder / "x")
        self.refused("cluster size of 1000 is not possible", "create", "--cluster-size", "1000", self.folder / "x", "1M")
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["base.img", "over"])

    def test_what_exists_is_kept(self):
        path = self.patterned("precious")
        before = self.contents(path)
        link = self.folder / "link"
        link.symlink_to(path)
        other = self.patterned("other")
        for target in (path, link, self.folder):
            self.refused("exists\n  hint: choose another name, or add --force", "create", target, "1M")
            self.refused("exists\n  hint: choose another name, or add --force", "convert", other, target)
        # With --force too, if the new image cannot be made.
        self.refused("cluster size", "create", "--force", "--cluster-size", "3", path, "1M")
        self.refused("cannot open disk .*missing", "convert", "--force", self.folder / "missing", path)
        self.refused("cannot be converted onto itself", "convert", "--force", path, link)
        self.assertEqual(self.contents(path), before)
        self.assertEqual(len(list(self.folder.iterdir())), 3)

    def test_force_replaces(self):
        path, link = self.patterned("disk"), self.folder / "link"
        path.chmod(0o640)
        link.symlink_to(path)
        self.strata("create", "--force", link, "5M")
        self.assertTrue(link.is_symlink())
        self.assertEqual(described(path)["virtual-size"], 5 * MIB)
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)

    def test_permissions_follow_the_umask(self):
        subprocess.run([STRATA, "disk", "create", self.folder / "disk", "1M"], check=True, umask=0o027)
        self.assertEqual((self.folder / "disk").stat().st_mode & 0o777, 0o640)


class Info(DiskTest):
    def test_qemu_images(self):
        base = self.patterned("base.img")
        over = self.folder / "over.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=128k", "-b", base, "-F", "raw", over, "10M")
        text = self.strata("info", over)
        self.assertRegex(text, r"(?m)^format +qcow2$")
        self.assertRegex(text, r"(?m)^disk size +10 MiB \(10485760 bytes\)$")
        self.assertRegex(text, r"(?m)^cluster size +128 KiB$")
        self.assertRegex(text, rf"(?m)^backing file +{base} \(raw\)$")
        text = self.strata("info", base)
        self.assertRegex(text, r"(?m)^format +raw$")
        self.assertRegex(text, r"\(8389120 bytes\)")

    def test_no_image(self):
        self.refused("cannot open disk .*missing: No such file or directory", "info", self.folder / "missing")


class Convert(DiskTest):
    def test_to_qcow2_and_back(self):
        raw, disk, back = self.patterned("raw"), self.folder / "disk", self.folder / "back"
        self.strata("convert", "--source-format", "raw", raw, disk)
        qemu_img("check", disk)
        qemu_img("compare", "-f", "raw", "-F", "qcow2", raw, disk)
        self.strata("convert", "--format", "raw", disk, back)
        self.assertEqual(self.contents(back), self.contents(raw))
        self.assertLess(back.stat().st_blocks * 512, MIB) # holes stay holes

    def test_from_qemu_images(self):
        raw = self.patterned("raw")
        for name, options in (("plain", []), ("compressed", ["-c"]), ("zstd", ["-c", "-o", "compression_type=zstd"]),
                              ("old", ["-o", "compat=0.10"]), ("small", ["-o", "cluster_size=512"]),
                              ("preallocated", ["-o", "preallocation=metadata"])):
            with self.subTest(name):
                disk, back = self.folder / name, self.folder / f"{name}.raw"
                qemu_img("convert", "-f", "raw", "-O", "qcow2", *options, raw, disk)
                self.strata("convert", "--format", "raw", disk, back)
                self.assertEqual(self.contents(back), self.contents(raw))

    def test_with_backing_files(self):
        base = self.patterned("base.img")
        over = self.folder / "over.qcow2"
        qemu_img("create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", over)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 1M 64k", "-c", "write -z 3M 128k", over], check=True,
                       stdout=subprocess.DEVNULL)
        self.strata("convert", over, self.folder / "flat")
        self.assertNotIn("backing-filename", described(self.folder / "flat"))
        qemu_img("compare", over, self.folder / "flat")

    def test_interrupted(self):
        source = self.folder / "large"
        with source.open("wb") as f:
            for _ in range(64):
                f.write(os.urandom(MIB) * 8)
        target = self.folder / "target"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number.name):
                command = subprocess.Popen([STRATA, "disk", "convert", "--source-format", "raw", source, target],
                                           stderr=subprocess.PIPE, text=True)
                with command:
                    while not any(p.name.startswith("target.part") for p in self.folder.iterdir()):
                        self.assertIsNone(command.poll())
                        time.sleep(0.001)
                    command.send_signal(number)
                    self.assertEqual(command.stderr.read(), "strata: interrupted; nothing was changed\n")
                self.assertEqual(command.returncode, STOPPED)
                self.assertEqual([p.name for p in self.folder.iterdir()], ["large"])

    def test_no_room(self):
        source = self.folder / "source"
        source.write_bytes(os.urandom(4 * MIB))
        before = source.read_bytes()
        target = self.folder / "target"
        done = subprocess.run(["bash", "-c", 'trap "" XFSZ; ulimit -f 1024; exec "$0" disk convert --source-format raw "$1" "$2"', STRATA,
                               source, target], capture_output=True, text=True)
        self.assertEqual(done.returncode, FAILURE)
        self.assertRegex(done.stderr, "^strata: cannot write disk .*: File too large\n  hint: ")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["source"])
        self.assertEqual(source.read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
