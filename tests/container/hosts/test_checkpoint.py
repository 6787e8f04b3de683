"""Containers that are saved to disk by CRIU and go on from there."""
import contextlib
import os
import re
import select
import socket
import subprocess
import unittest
from pathlib import Path

from checkpoints import COUNT, CheckpointCase, eventually, new_id
from oci import mount

# What a process sees of its container. (no_new_privs is not there: CRIU saves it since 4.0.)
PROBE = r"""
cat /proc/self/mountinfo | sed 's/^[0-9]* [0-9]* [0-9]*:[0-9]* //'; cat /data/file /single /volume/file /proc/1/limits
grep -E '^(Cap|Seccomp|Uid|Gid|Groups)' /proc/1/status; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max
cat /proc/version | wc -c; ls /sys/firmware; touch /proc/sys/kernel/x 2>&1; hostname; stat -c '%n %F %t:%T %a %u:%g' /dev/*; cat /proc/1/oom_score_adj
cat /proc/sys/kernel/shmmni; ls /proc/1/fd; ip link | head -1
"""


class CheckpointTestCase(CheckpointCase):
    def test_a_counting_process_goes_on(self):
        """With its memory and its open file; as with runc."""
        for name in ("strata", "runc"):
            runtime = self.new_runtime(name)
            bundle, container = self.bundle(script=COUNT), new_id()
            images = os.path.join(self.folder, name)
            self.detached("run", bundle, container, runtime=runtime)
            self.passes(bundle, 2)
            runtime("checkpoint", "--image-path", images, container)
            self.assertNotEqual(runtime("state", container, check=False).returncode, 0)
            saved = self.numbers(bundle)[-1]
            self.detached("restore", bundle, container, "--image-path", images, runtime=runtime)
            self.passes(bundle, saved + 2)
            self.assertEqual(runtime.state(container)["status"], "running")
            runtime("delete", "--force", container)
            numbers = self.numbers(bundle)
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)), name)
            self.assertFalse(Path("/sys/fs/cgroup", container).exists())

    def full_bundle(self):
        bundle = self.bundle(script=f"echo kept >/volume/file; {COUNT}", network=True)
        data = Path(bundle.path, "data")
        data.mkdir()
        (data / "file").write_text("bound\n")
        bundle.config["mounts"] += [mount("/data", "bind", str(data), ["rbind", "nosuid"]),
                                    mount("/single", "bind", str(data / "file"), ["bind", "ro"]),
                                    mount("/volume", "tmpfs", options=["nosuid", "nodev", "size=1m"]),
                                    mount("/sys/fs/cgroup", "cgroup", options=["nosuid", "noexec", "nodev", "ro"])]
        bundle.namespace("cgroup")
        bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 500, "hard": 600}]
        bundle.process["oomScoreAdj"] = 100
        bundle.linux["maskedPaths"] = ["/proc/version", "/sys/firmware"]
        bundle.linux["readonlyPaths"] = ["/proc/sys"]
        bundle.linux["sysctl"] = {"kernel.shmmni": "777"}
        bundle.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660}]
        bundle.linux["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 50})
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                   "syscalls": [{"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO"}]}
        return bundle

    def test_all_is_as_it_was(self):
        """Mounts from outside, masks, devices, limits, filters: a probe sees the same before and after."""
        bundle, container = self.full_bundle(), new_id()
        self.detached("run", bundle, container)
        self.passes(bundle, 2)
        probe = lambda: re.sub(r"(?m)( /[^ ]* - tmpfs .*?),?inode64", r"\1", self.runtime("exec", container, "sh", "-c", PROBE).stdout)
        before = probe()
        self.assertIn("kept", before)
        self.runtime("checkpoint", "--image-path", self.images, container)
        saved = self.numbers(bundle)[-1]
        pid_file = Path(bundle.path, "pid")
        self.restore(bundle, container, "--pid-file", pid_file)
        self.assertEqual(int(pid_file.read_text()), self.runtime.state(container)["pid"])
        self.assertEqual(sorted(probe().splitlines()), sorted(before.splitlines()))
        self.passes(bundle, saved + 2)
        self.runtime("pause", container)
        self.assertEqual(self.runtime.state(container)["status"], "paused")
        self.runtime("resume", container)
        self.runtime("kill", container, "KILL")
        eventually(lambda: self.runtime.state(container)["status"] == "stopped", "its end")
        self.runtime("delete", container)
        self.assertNotIn(bundle.path, Path("/proc/self/mountinfo").read_text())

    def test_leave_running(self):
        """The first goes on; another one begins where the checkpoint was taken, under another ID."""
        bundle, first = self.counting()
        self.runtime("checkpoint", "--leave-running", "--image-path", self.images, first)
        saved = self.numbers(bundle)[-1]
        self.passes(bundle, saved + 2)
        self.assertEqual(self.runtime.state(first)["status"], "running")
        self.runtime("delete", "--force", first)
        Path(bundle.rootfs, "count").write_text("")
        self.restore(bundle, "another")
        self.passes(bundle, saved + 2)
        self.assertIn(self.numbers(bundle)[0], range(3, saved + 2))
        self.assertEqual(self.runtime.state("another")["status"], "running")

    def test_first_the_memory(self):
        """--pre-dump, and a dump that holds what changed since."""
        bundle, container = self.counting()
        first = os.path.join(self.folder, "first")
        self.runtime("checkpoint", "--pre-dump", "--image-path", first, container)
        self.assertEqual(self.runtime.state(container)["status"], "running")
        self.runtime("checkpoint", "--parent-path", "../first", "--image-path", self.images, container)
        self.assertTrue(Path(self.images, "parent").is_symlink())
        saved = self.numbers(bundle)[-1]
        self.restore(bundle, container)
        self.passes(bundle, saved + 2)

    def test_standard_streams(self):
        """The caller's take the place of those that the container had; `restore` waits, and has its exit status."""
        bundle, container = self.bundle(script="n=0; while read word; do n=$((n + 1)); echo $n $word; [ $word = end ] && exit 7; done"), new_id()
        program = [os.environ["STRATA_OCI"], "--root", self.runtime.root]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "bufsize": 1}
        first = subprocess.Popen([*program, "run", "--bundle", bundle.write(), container], **pipes)
        first.stdin.write("a\n")
        self.assertEqual(first.stdout.readline(), "1 a\n")
        self.runtime("checkpoint", "--image-path", self.images, container)
        first.communicate()
        self.assertEqual(first.returncode, 128 + 9)
        second = subprocess.Popen([*program, "restore", "--image-path", self.images, "--bundle", bundle.path, container], **pipes)
        output, _ = second.communicate("b\nend\n")
        self.assertEqual((output, second.returncode), ("2 b\n3 end\n", 7))
        self.assertEqual(os.listdir(self.runtime.root), [])

    def test_a_terminal_of_the_callers(self):
        """As a standard stream of a container that has none of its own."""
        bundle, container = self.bundle(script="n=0; while read word; do n=$((n + 1)); echo $n-$word; done"), new_id()
        program = [os.environ["STRATA_OCI"], "--root", self.runtime.root]
        for verb, number, flags in (("run", 1, []), ("restore", 2, ["--image-path", self.images])):
            master, slave = os.openpty()
            subprocess.run([*program, verb, "--detach", *flags, "--bundle", bundle.write(), container], check=True,
                           stdin=slave, stdout=slave, stderr=slave)
            os.close(slave)
            os.write(master, b"word\n")
            self.until(master, b"%d-word" % number)
            if verb == "run":
                self.runtime("checkpoint", "--image-path", self.images, container)
            os.close(master)

    def console(self, verb, bundle, container, *flags):
        """The master of the terminal of a container that the verb makes."""
        path = os.path.join(self.folder, f"{verb}.socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            self.detached(verb, bundle, container, "--console-socket", path, *flags)
            connection, _ = listener.accept()
            with connection:
                _, descriptors, _, _ = socket.recv_fds(connection, 100, 1)
                return descriptors[0]

    def until(self, master, text):
        seen = b""
        while text not in seen:
            self.assertTrue(select.select([master], [], [], 100)[0], seen)
            seen += os.read(master, 1000)

    def test_a_terminal(self):
        bundle, container = self.bundle("sh"), new_id()
        bundle.process["terminal"] = True
        master = self.console("run", bundle, container)
        os.write(master, b"word=remembered; stty -echo; echo rea''dy\n")
        self.until(master, b"ready")
        self.runtime("checkpoint", "--image-path", self.images, container)
        os.close(master)
        master = self.console("restore", bundle, container, "--image-path", self.images)
        os.write(master, b"echo $word; tty; exit\n")
        self.until(master, b"remembered\r\n/dev/pts/0")
        os.close(master)

    def test_what_cannot_be(self):
        """One line that says why, and nothing is left."""
        bundle, container = self.counting()
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)
        for words, arguments in (
                ("must be relative", ["checkpoint", "--parent-path", "/first", container]),
                ("none of soft", ["checkpoint", "--manage-cgroups-mode", "hard", container]),
                ("cannot be left empty", ["checkpoint", "--empty-ns", "user", container]),
                ("ADDRESS:PORT", ["checkpoint", "--page-server", "host", container]),
                ("does not exist", ["checkpoint", "never-existed"]),
                ("No such file", ["restore", "--image-path", "/no/such/images", "--bundle", bundle.path, "other"]),
                ("inventory.img", ["restore", "--image-path", empty, "--bundle", bundle.path, "other"])):
            with contextlib.chdir(self.folder):
                self.assertIn(words, self.refused(*arguments))
        self.assertIn("not installed", self.refused("checkpoint", "--image-path", self.images, container,
                                                    env=dict(os.environ, PATH="/nowhere")))
        self.assertEqual(self.runtime.state(container)["status"], "running")
        self.runtime("checkpoint", "--image-path", self.images, container)
        Path(bundle.rootfs, "count").unlink()
        refusal = self.refused("restore", "--detach", "--image-path", self.images, "--bundle", bundle.path, "other")
        self.assertRegex(refusal, r"CRIU cannot restore container other: Error \(criu/.*restore.log tells more")
        self.assertEqual(os.listdir(self.runtime.root), [])
        self.assertFalse(Path("/sys/fs/cgroup/other").exists())
        created = self.bundle("true")
        self.runtime.quietly("create", "--bundle", created.write(), "created")
        self.assertIn("it is created", self.refused("checkpoint", "--image-path", self.images, "created"))
        self.assertIn("exists already", self.refused("restore", "--image-path", self.images, "--bundle", bundle.path, "created"))


if __name__ == "__main__":
    unittest.main()
