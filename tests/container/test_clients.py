"""Podman and containerd, from Debian, with Strata as their runtime (or runc, to compare)."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from case import RuntimeTestCase, eventually
from oci import CHOSEN, PATIENCE, STRATA_OCI, make_rootfs

RUNTIME = STRATA_OCI if CHOSEN == "strata" else shutil.which(CHOSEN) or f"/usr/sbin/{CHOSEN}"
PODMAN_CONFIGURATION = """[containers]
default_ulimits = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class PodmanTestCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="podman-")
        Path(cls.folder, "containers.conf").write_text(PODMAN_CONFIGURATION)
        rootfs = os.path.join(cls.folder, "rootfs")
        make_rootfs(rootfs)
        archive = os.path.join(cls.folder, "image.tar")
        subprocess.run(["tar", "-C", rootfs, "-cf", archive, "."], check=True)
        cls.podman("import", "-q", archive, "box:latest")

    @classmethod
    def tearDownClass(cls):
        cls.podman("rm", "-a", "-f", "-t", "0", check=False)
        cls.podman("network", "prune", "-f", check=False)
        subprocess.run(["umount", "-l", os.path.join(cls.folder, "storage/overlay")], capture_output=True)
        shutil.rmtree(cls.folder, ignore_errors=True)

    @classmethod
    def podman(cls, *arguments, check=True, **options):
        command = ["podman", "--root", f"{cls.folder}/storage", "--runroot", f"{cls.folder}/run", "--tmpdir", f"{cls.folder}/tmp",
                   "--network-config-dir", f"{cls.folder}/net", "--runtime", RUNTIME, *arguments]
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                              env=dict(os.environ, CONTAINERS_CONF=f"{cls.folder}/containers.conf"), **options)
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def run_box(self, *arguments, **options):
        return self.podman("run", "--rm", *arguments, **options)

    def detached(self, *arguments):
        container = self.podman("run", "-d", "--network", "none", *arguments).stdout.strip()
        self.addCleanup(lambda: self.podman("rm", "-f", "-t", "0", container, check=False))
        return container

    def test_networks(self):
        for network, devices in (("none", ["lo"]), ("host", None)):
            seen = self.run_box("--network", network, "box", "ls", "/sys/class/net").stdout.split()
            self.assertEqual(sorted(seen), devices or sorted(os.listdir("/sys/class/net")))

    def test_bridge(self):
        self.assertIn("eth0", self.run_box("--network", "bridge", "box", "ip", "addr").stdout)

    def test_exit_status_and_input(self):
        self.assertEqual(self.run_box("--network", "none", "box", "sh", "-c", "exit 3", check=False).returncode, 3)
        self.assertEqual(self.run_box("-i", "--network", "none", "box", "cat", stdin=None, input="typed").stdout, "typed")

    def test_missing_program(self):
        self.assertEqual(self.run_box("--network", "none", "box", "no-such-program", check=False).returncode, 127)

    def test_terminal(self):
        out = self.run_box("-t", "--network", "none", "box", "sh", "-c", "tty; test -t 1 && echo terminal").stdout
        self.assertEqual(out.split(), ["/dev/pts/0", "terminal"])

    def test_life(self):
        container = self.detached("box", "sh", "-c", "echo begun; trap 'exit 5' TERM; while :; do sleep 0.1; done")
        eventually(lambda: "begun" in self.podman("logs", container).stdout, "the log")
        self.assertEqual(self.podman("exec", container, "sh", "-c", "echo $0; exit 4", check=False).returncode, 4)
        self.assertIn("sh", self.podman("top", container, "comm").stdout)
        self.podman("pause", container)
        self.assertEqual(self.podman("inspect", "-f", "{{.State.Status}}", container).stdout, "paused\n")
        self.podman("unpause", container)
        self.podman("update", "--memory", "64m", container)
        self.podman("stop", "-t", "20", container)
        self.assertEqual(self.podman("inspect", "-f", "{{.State.ExitCode}}", container).stdout, "5\n")
        self.podman("start", container)
        self.podman("kill", "--signal", "KILL", container)
        self.assertEqual(self.podman("wait", container).stdout, "137\n")
        self.podman("rm", container)

    def test_exec_with_terminal(self):
        container = self.detached("box", "sleep", "1000")
        self.assertIn("/dev/pts/", self.podman("exec", "-t", container, "tty").stdout)

    def test_limits(self):
        out = self.run_box("--network", "none", "--memory", "50m", "--pids-limit", "77", "--cpus", "0.5", "box", "sh", "-c",
                           "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us").stdout
        self.assertEqual(out.split(), [str(50 << 20), "77", "50000"])

    def test_options(self):
        with tempfile.TemporaryDirectory() as volume:
            out = self.run_box("--network", "none", "--read-only", "--tmpfs", "/scratch", "-v", f"{volume}:/data", "--user", "1000", "--hostname", "named",
                               "--cap-drop", "all", "-e", "A=b", "-w", "/tmp", "box", "sh", "-c",
                               "hostname; id -u; echo $A; pwd; touch /scratch/x && echo w; touch /x 2>/dev/null || echo ro").stdout
            self.assertEqual(out.split(), ["named", "1000", "b", "/tmp", "w", "ro"])

    def test_privileged_and_user_namespace(self):
        self.run_box("--network", "none", "--privileged", "box", "mount", "-t", "tmpfs", "x", "/mnt")
        out = self.run_box("--network", "none", "--uidmap", "0:100000:65536", "box", "cat", "/proc/self/uid_map").stdout
        self.assertEqual(out.split(), ["0", "100000", "65536"])

    def test_pod(self):
        """Namespaces that are joined by path."""
        first = self.detached("--name", "first", "box", "sleep", "1000")
        out = self.run_box("--network", "container:first", "--pid", "container:first", "--ipc", "container:first", "box", "ps").stdout
        self.assertIn("sleep 1000", out)


class ContainerdTestCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="containerd-")
        cls.socket = f"{cls.folder}/containerd.sock"
        Path(cls.folder, "config.toml").write_text(
            f'version = 2\nroot = "{cls.folder}/root"\nstate = "{cls.folder}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{cls.socket}"\n[ttrpc]\naddress = "{cls.socket}.ttrpc"\n')
        cls.log = open(f"{cls.folder}/log", "w")
        cls.daemon = subprocess.Popen(["containerd", "--config", f"{cls.folder}/config.toml"], stdout=cls.log, stderr=cls.log)
        cls.make_image()

    @classmethod
    def make_image(cls):
        layout = f"{cls.folder}/layout"
        rootfs = f"{cls.folder}/bundle"
        for command in (["umoci", "init", "--layout", layout], ["umoci", "new", "--image", f"{layout}:latest"],
                        ["umoci", "unpack", "--image", f"{layout}:latest", rootfs]):
            subprocess.run(command, check=True, capture_output=True)
        make_rootfs(f"{rootfs}/rootfs")
        subprocess.run(["umoci", "repack", "--image", f"{layout}:latest", rootfs], check=True, capture_output=True)
        subprocess.run(["tar", "-C", layout, "-cf", f"{cls.folder}/image.tar", "."], check=True)
        eventually(lambda: os.path.exists(cls.socket), "containerd's socket")
        eventually(lambda: cls.ctr("version", check=False).returncode == 0, "containerd")
        cls.ctr("images", "import", "--index-name", "localhost/box:latest", f"{cls.folder}/image.tar")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        cls.daemon.wait(PATIENCE)
        cls.log.close()
        shutil.rmtree(cls.folder, ignore_errors=True)

    @classmethod
    def ctr(cls, *arguments, check=True):
        done = subprocess.run(["ctr", "--address", cls.socket, *arguments], text=True, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"ctr {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def run_box(self, name, *command, flags=(), check=True):
        return self.ctr("run", "--rm", "--snapshotter", "native", "--runc-binary", RUNTIME, *flags, "localhost/box:latest", name, *command, check=check)

    def test_run(self):
        self.assertEqual(self.run_box("one", "sh", "-c", "hostname; echo done").stdout.split()[-1], "done")
        self.assertEqual(self.run_box("two", "sh", "-c", "exit 6", check=False).returncode, 6)

    def test_life(self):
        self.ctr("run", "-d", "--snapshotter", "native", "--runc-binary", RUNTIME, "localhost/box:latest", "life", "sleep", "1000")
        self.assertEqual(self.ctr("tasks", "exec", "--exec-id", "e", "life", "echo", "inside").stdout, "inside\n")
        self.ctr("tasks", "pause", "life")
        self.assertIn("PAUSED", self.ctr("tasks", "list").stdout)
        self.ctr("tasks", "resume", "life")
        self.assertIn("pids", self.ctr("tasks", "metrics", "life").stdout)
        self.ctr("tasks", "kill", "--signal", "SIGKILL", "life")
        eventually(lambda: "STOPPED" in self.ctr("tasks", "list").stdout, "the end")
        self.ctr("tasks", "delete", "life", check=False)
        self.ctr("containers", "delete", "life")


class CriuTestCase(RuntimeTestCase):
    def test_checkpoint_or_a_clear_word(self):
        """Debian's CRIU does not run on every kernel. Where it does not, its reason is told, and the container goes on."""
        container = self.started()
        works = subprocess.run(["criu", "check"], capture_output=True).returncode == 0
        with tempfile.TemporaryDirectory() as folder:
            done = self.runtime("checkpoint", "--leave-running", "--image-path", os.path.join(folder, "images"), container, check=False)
            if works:
                self.assertEqual((done.returncode, done.stderr), (0, ""))
            else:
                self.assertRegex(done.stderr, r"\Astrata-oci: CRIU does not work on this host: Error \(criu/.*criu check tells more")
        self.assertEqual(self.status(container), "running")


if __name__ == "__main__":
    unittest.main()
