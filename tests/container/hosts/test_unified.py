"""Control groups where version 2 is all there is. Each test asks the runtimes that it names for the same."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from case import eventually
from oci import Bundle, Runtime, new_id

CGROUPS = Path("/sys/fs/cgroup")
RUNTIMES = ("strata", "runc", "crun")  # runc takes seconds for each call in a machine, and is asked least
DISK = "/dev/vda"


class UnifiedTestCase(unittest.TestCase):
    maxDiff = None

    def bundle(self, *args, script=None):
        bundle = Bundle(*args, script=script)
        self.addCleanup(bundle.close)
        return bundle

    def runtime(self, name="strata"):
        runtime = Runtime(name)
        self.addCleanup(runtime.close)
        return runtime

    def created(self, runtime, bundle, verb="create"):
        """The ID of a container; its cgroup's directory."""
        container = new_id()
        log = Path(bundle.path, "log")
        flags = ["--detach"] if verb == "run" else []
        done = runtime.quietly("--log", log, verb, *flags, "--bundle", bundle.write(), container)
        self.assertEqual(done.returncode, 0, log.read_text() if log.exists() else runtime.name)
        pid = runtime.state(container)["pid"]
        place = Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")
        return container, CGROUPS / place

    def assert_frozen(self, runtime, directory):
        """Strata has waited for it; whether others do is theirs to say."""
        frozen = lambda: "frozen 1" in (directory / "cgroup.events").read_text()
        self.assertTrue(frozen() if runtime == "strata" else eventually(frozen, "frozen"))

    def read(self, directory, names):
        return {name: (directory / name).read_text().strip() for name in names}


class LimitsTestCase(UnifiedTestCase):
    def limits(self):
        number = os.stat(DISK).st_rdev
        disk = {"major": os.major(number), "minor": os.minor(number)}
        return {"memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20},
                "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "1", "mems": "0"},
                "pids": {"limit": 33},
                "blockIO": {"throttleReadBpsDevice": [dict(disk, rate=1 << 20)],
                            "throttleWriteIOPSDevice": [dict(disk, rate=200)]},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}],
                "unified": {"memory.high": str(48 << 20), "memory.oom.group": "1"}}

    def test_every_limit_goes_to_its_file(self):
        names = ["memory.max", "memory.swap.max", "memory.low", "memory.high", "memory.oom.group", "cpu.weight", "cpu.max",
                 "cpuset.cpus", "cpuset.mems", "pids.max", "io.max", "hugetlb.2MB.max"]
        number = os.stat(DISK).st_rdev
        expected = {"memory.max": str(64 << 20), "memory.swap.max": str(32 << 20), "memory.low": str(32 << 20),
                    "memory.high": str(48 << 20), "memory.oom.group": "1", "cpu.weight": "20", "cpu.max": "50000 100000",
                    "cpuset.cpus": "1", "cpuset.mems": "0", "pids.max": "33", "hugetlb.2MB.max": str(4 << 20),
                    "io.max": f"{os.major(number)}:{os.minor(number)} rbps={1 << 20} wbps=max riops=max wiops=200"}
        for name in RUNTIMES:
            bundle = self.bundle("true")
            bundle.linux["resources"].update(self.limits())
            _, directory = self.created(self.runtime(name), bundle)
            self.assertEqual(self.read(directory, names), expected, name)

    def test_update(self):
        runtimes = [self.runtime(name) for name in ("strata", "crun")]
        for runtime in runtimes:
            container, directory = self.created(runtime, self.bundle("true"))
            runtime("update", "--memory", 48 << 20, "--memory-swap", 96 << 20, "--pids-limit", 44, "--cpu-quota", 20000,
                    "--cpuset-cpus", "0", container)
            self.assertEqual(self.read(directory, ["memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpuset.cpus"]),
                             {"memory.max": str(48 << 20), "memory.swap.max": str(48 << 20), "pids.max": "44",
                              "cpu.max": "20000 100000", "cpuset.cpus": "0"}, runtime.name)
        container, directory = self.created(runtimes[0], self.bundle("true"))
        resources = {"memory": {"limit": 33554432}, "unified": {"pids.max": "12", "memory.high": "max"}}
        runtimes[0]("update", "--resources", "-", container, stdin=None, input=json.dumps(resources))
        self.assertEqual(self.read(directory, ["memory.max", "pids.max"]), {"memory.max": "33554432", "pids.max": "12"})

    def test_they_hold(self):
        """Memory, processes and processors of one container, as its program meets them."""
        bundle = self.bundle(script="grep Cpus_allowed_list /proc/self/status; head -c 200m /dev/zero | tail | wc -c; "
                                    "(for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 >/dev/null 2>&1 & done) 2>&1 | grep -c unavailable")
        bundle.linux["resources"].update({"memory": {"limit": 16 << 20, "swap": 16 << 20}, "pids": {"limit": 6},
                                          "cpu": {"cpus": "1"}})
        lines = self.runtime()("run", "--bundle", bundle.write(), new_id(), check=False).stdout.splitlines()
        self.assertEqual(lines[0].split(), ["Cpus_allowed_list:", "1"])
        self.assertEqual(lines[1:], ["0", "1"])

    def test_what_cannot_be(self):
        """One line that names the file or the controller, and nothing is left."""
        runtime = self.runtime()
        for wrong, words in (({"unified": {"memory.nonsense": "1"}}, "has no memory.nonsense"),
                             ({"unified": {"pids.max": "many"}}, "pids.max"),
                             ({"unified": {"../x": "1"}}, "unified"),
                             ({"network": {"classID": 7}}, "net_cls"),
                             ({"memory": {"limit": 1 << 25, "swap": 1 << 20}}, "at least the memory limit")):
            bundle = self.bundle("true")
            bundle.linux["resources"].update(wrong)
            container = new_id()
            done = runtime("create", "--bundle", bundle.write(), container, check=False)
            self.assertNotEqual(done.returncode, 0, wrong)
            self.assertIn(words, done.stderr)
            self.assertFalse((CGROUPS / container).exists())


class FreezerTestCase(UnifiedTestCase):
    def test_pause_and_resume(self):
        for name in ("strata", "crun"):
            runtime = self.runtime(name)
            container, directory = self.created(runtime, self.bundle("sleep", "1000"), "run")
            runtime("pause", container)
            self.assertEqual((directory / "cgroup.freeze").read_text(), "1\n", name)
            self.assert_frozen(name, directory)
            self.assertEqual(runtime.state(container)["status"], "paused")
            runtime("resume", container)
            self.assertIn("frozen 0", (directory / "cgroup.events").read_text(), name)
            runtime("pause", container)
            runtime("delete", "--force", container)
            self.assertFalse(directory.exists(), name)

    def test_kill_all(self):
        """With cgroup.kill, those of cgroups below too."""
        bundle = self.bundle(script="mkdir /sys/fs/cgroup/below && sh -c 'echo $$ >/sys/fs/cgroup/below/cgroup.procs; "
                                    "echo ready >/ready; sleep 1000' & sleep 1000")
        bundle.namespace("cgroup")
        bundle.config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                                        "options": ["nosuid", "noexec", "nodev"]})
        bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "pid"]
        runtime = self.runtime()
        container, directory = self.created(runtime, bundle, "run")
        eventually(Path(bundle.rootfs, "ready").exists, "the process below")
        below = int((directory / "below/cgroup.procs").read_text().split()[0])
        self.assertIn(below, json.loads(runtime("ps", "--format", "json", container).stdout))
        runtime("kill", "--all", container, "KILL")
        eventually(lambda: "populated 0" in (directory / "cgroup.events").read_text(), "the end of all")
        runtime("delete", container)
        self.assertFalse(directory.exists())


class StatisticsTestCase(UnifiedTestCase):
    def test_the_same_keys_as_runc(self):
        """All that runc tells of a group, but for what it always gives as 0, is there under the same names, and what does
        not move has the same values."""
        seen = {}
        for name in ("strata", "runc"):
            runtime = self.runtime(name)
            bundle = self.bundle(script="dd if=/dev/disk of=/dev/null iflag=direct bs=64k count=1 2>/dev/null; touch /ready; sleep 1000")
            disk = {"type": "b", "major": os.major(os.stat(DISK).st_rdev), "minor": os.minor(os.stat(DISK).st_rdev)}
            bundle.linux["devices"] = [dict(disk, path="/dev/disk")]
            bundle.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50},
                                         "devices": [{"allow": False, "access": "rwm"}, dict(disk, allow=True, access="r")]}
            container, _ = self.created(runtime, bundle, "run")
            eventually(Path(bundle.rootfs, "ready").exists, "a read of the disk")
            seen[name] = json.loads(runtime("events", "--stats", container).stdout)["data"]
        own, other = seen["strata"], seen["runc"]

        def told(value):
            return any(map(told, value.values())) if isinstance(value, dict) else bool(value)

        def missing(a, b, path=""):
            return [f"{path}/{key}" for key in b if key not in a and told(b[key])] + \
                [m for key in b if isinstance(b[key], dict) and isinstance(a.get(key), dict)
                 for m in missing(a[key], b[key], f"{path}/{key}")]

        self.assertEqual(missing(own, other), [])
        self.assertEqual(own["memory"]["usage"]["limit"], other["memory"]["usage"]["limit"])
        self.assertEqual(own["pids"]["limit"], other["pids"]["limit"])
        self.assertEqual(sorted(own["hugetlb"]), sorted(other["hugetlb"]))
        for key in ("ioServiceBytesRecursive", "ioServicedRecursive"):
            self.assertEqual({(e["major"], e.get("minor", 0), e["op"]) for e in own["blkio"][key] if e.get("value")},
                             {(e["major"], e.get("minor", 0), e["op"]) for e in other["blkio"][key] if e.get("value")}, key)
        self.assertGreater(sum(e["value"] for e in own["blkio"]["ioServiceBytesRecursive"]), 0)
        self.assertGreater(own["memory"]["usage"]["usage"], 0)
        self.assertGreater(own["cpu"]["usage"]["total"], 0)

    def test_out_of_memory_is_an_event(self):
        runtime = self.runtime()
        bundle = self.bundle(script="read go </go; head -c 200m /dev/zero | tail; sleep 1000")
        os.mkfifo(os.path.join(bundle.rootfs, "go"))
        bundle.linux["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
        container, _ = self.created(runtime, bundle, "run")
        events = subprocess.Popen([os.environ["STRATA_OCI"], "--root", runtime.root, "events", "--interval", "10m", container],
                                  stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(json.loads(events.stdout.readline())["type"], "stats")
            Path(bundle.rootfs, "go").write_text("go\n")
            self.assertEqual(json.loads(events.stdout.readline()), {"type": "oom", "id": container, "data": None})
        finally:
            events.kill()
            events.communicate()


class DevicesTestCase(UnifiedTestCase):
    """By a program of eBPF's on the cgroup."""

    # What is tried on each device; CAP_MKNOD is there, so that only the rules refuse.
    SCRIPT = ("t() { if (eval \"$2\") 2>/dev/null; then echo $1 yes; else echo $1 no; fi; }; cd /tmp; "
              "t null ': <>/dev/null'; t kmsg-read ': </dev/kmsg'; t kmsg-write ': >>/dev/kmsg'; t disk ': </dev/disk'; "
              "t disk-write ': >>/dev/disk'; t make-kmsg 'mknod k c 1 11'; t make-fuse 'mknod f c 10 229'; t fuse ': <>/dev/fuse'; "
              "t make-loop 'mknod l b 7 0'")

    def observe(self, name, rules):
        bundle = self.bundle(script=self.SCRIPT)
        number = os.stat(DISK).st_rdev
        bundle.linux["devices"] = [
            {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666},
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666},
            {"path": "/dev/disk", "type": "b", "major": os.major(number), "minor": os.minor(number), "fileMode": 0o666}]
        bundle.linux["resources"]["devices"] = rules
        bundle.process["capabilities"] = {key: ["CAP_MKNOD", "CAP_SYSLOG"] for key in ("bounding", "effective", "permitted")}
        done = self.runtime(name)("run", "--bundle", bundle.write(), new_id())
        return dict(line.split() for line in done.stdout.splitlines())

    def test_rules(self):
        number = os.stat(DISK).st_rdev
        disk = {"type": "b", "major": os.major(number), "minor": os.minor(number)}
        nothing = {"allow": False, "access": "rwm"}
        made = {"null", "make-kmsg", "make-fuse", "make-loop"}  # nodes may be made by default, of any device
        cases = [
            ([nothing], made),
            ([nothing, {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}, dict(disk, allow=True, access="rm")],
             made | {"kmsg-read", "disk"}),
            # The last rule wins; wildcards.
            ([nothing, {"allow": True, "type": "c", "major": 10, "access": "rwm"},
              {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rw"},
              {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "w"}],
             made | {"kmsg-read", "fuse"}),
            # Everything but one.
            ([{"allow": True, "access": "rwm"}, dict(disk, allow=False, access="w")],
             made | {"kmsg-read", "kmsg-write", "disk", "fuse"}),
        ]
        for number, (rules, allowed) in enumerate(cases):
            for name in RUNTIMES if number == 2 else ("strata", "crun"):
                seen = self.observe(name, rules)
                self.assertEqual(len(seen), 9, seen)
                self.assertEqual({key for key, answer in seen.items() if answer == "yes"}, allowed, (name, rules))

    def test_update(self):
        """The program on the cgroup is replaced, not joined by another."""
        runtime = self.runtime()
        bundle = self.bundle("sleep", "1000")
        bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
        bundle.process["capabilities"] = {key: ["CAP_SYSLOG"] for key in ("bounding", "effective", "permitted")}
        container, _ = self.created(runtime, bundle, "run")
        kmsg = {"type": "c", "major": 1, "minor": 11, "access": "rwm"}
        for allow in (True, False, True):
            runtime("update", "--resources", "-", container, stdin=None,
                    input=json.dumps({"devices": [{"allow": False, "access": "rwm"}, dict(kmsg, allow=allow)]}))
            self.assertEqual(runtime("exec", container, "sh", "-c", ": </dev/kmsg", check=False).returncode == 0, allow)


class DelegationTestCase(UnifiedTestCase):
    """A user of no rights, to whom a cgroup was given."""
    USER = 1000

    def setUp(self):
        controllers = (CGROUPS / "cgroup.controllers").read_text().split()
        (CGROUPS / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
        self.top = CGROUPS / "delegated"
        self.top.mkdir()
        self.addCleanup(lambda: eventually(self.remove, "its cgroups have no processes any more"))
        for path in (self.top, *(self.top / f"cgroup.{name}" for name in ("procs", "threads", "subtree_control"))):
            os.chown(path, self.USER, self.USER)
        self.folder = tempfile.mkdtemp(prefix="user-")
        os.chown(self.folder, self.USER, self.USER)

    def remove(self):
        (self.top / "cgroup.kill").write_text("1")
        with contextlib.suppress(OSError):
            for path, _, _ in os.walk(self.top, topdown=False):
                os.rmdir(path)
        return not self.top.exists()

    def call(self, name, *arguments, group="session"):
        """What a runtime answers to the user in that cgroup."""
        command = {"strata": [os.environ["STRATA_OCI"]], "crun": ["crun", "--cgroup-manager", "cgroupfs"],
                   "runc": ["runc"]}[name]
        entry = 'mkdir -p "$0" && chown 1000:1000 "$0" "$0"/cgroup.* 2>/dev/null; echo $$ >"$0"/cgroup.procs && exec "$@"'
        with tempfile.TemporaryFile("w+") as output:  # which the container may keep open
            done = subprocess.run(["sh", "-c", entry, str(self.top / group), shutil.which("setpriv"), f"--reuid={self.USER}",
                                   f"--regid={self.USER}", "--clear-groups", *command, "--root", f"{self.folder}/{name}",
                                   *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                  env=dict(os.environ, XDG_RUNTIME_DIR=self.folder))
            output.seek(0)
            return done.returncode, output.read()

    def rootless(self, *args, script=None):
        bundle = self.bundle(*args, script=script)
        bundle.namespace("user")
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": self.USER, "size": 1},
                                                                     {"containerID": 1, "hostID": 100000, "size": 65536}]
        subprocess.run(["chown", "-R", f"{self.USER}:{self.USER}", bundle.path], check=True)
        return bundle

    def run_and_delete(self, name, bundle):
        """(exit status, output) of a container of the user's."""
        container = new_id()
        seen = self.call(name, "run", "--bundle", bundle.write(), container)
        self.call(name, "delete", "--force", container)
        return seen

    def test_limits(self):
        """In a cgroup of the user's by its path; and they hold."""
        names = ["memory.max", "pids.max", "cpu.max", "cpuset.cpus"]
        for name in ("strata", "crun"):
            bundle = self.rootless(script="(for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 >/dev/null 2>&1 & done) 2>&1 | "
                                          "grep -c unavailable >/refused; echo >/ready; exec sleep 1000")
            bundle.linux["cgroupsPath"] = "/delegated/of-the-user"
            bundle.linux["resources"] = {"memory": {"limit": 32 << 20}, "pids": {"limit": 6},
                                         "cpu": {"quota": 30000, "period": 100000, "cpus": "1"}}
            container = new_id()
            self.assertEqual(self.call(name, "run", "--detach", "--bundle", bundle.write(), container), (0, ""), name)
            self.assertEqual(self.read(self.top / "of-the-user", names),
                             {"memory.max": str(32 << 20), "pids.max": "6", "cpu.max": "30000 100000", "cpuset.cpus": "1"}, name)
            eventually(Path(bundle.rootfs, "ready").exists, "the end of what the limit stops")
            self.assertEqual(Path(bundle.rootfs, "refused").read_text(), "1\n", name)
            self.assertEqual(self.call(name, "pause", container)[0], 0, name)
            self.assert_frozen(name, self.top / "of-the-user")
            self.assertEqual(self.call(name, "resume", container)[0], 0, name)
            if name == "strata":
                self.assertEqual(self.call(name, "update", "--pids-limit", "9", container), (0, ""))
                self.assertEqual(self.read(self.top / "of-the-user", ["pids.max"]), {"pids.max": "9"})
            self.assertEqual(self.call(name, "delete", "--force", container)[0], 0, name)
            self.assertFalse((self.top / "of-the-user").exists(), name)

    def test_a_relative_path_is_beside_the_caller(self):
        """In the caller's own cgroup, which has a process, there could be no limits. crun leaves the program there."""
        for name in ("strata", "runc"):
            bundle = self.rootless(script="cat /proc/self/cgroup")
            bundle.linux["resources"] = {"memory": {"limit": 32 << 20}, "pids": {"limit": 5}}
            status, output = self.run_and_delete(name, bundle)
            self.assertEqual(status, 0, output)
            self.assertRegex(output, r"\A0::/delegated/c[0-9a-f]{12}\n\Z", name)

    def test_what_was_not_delegated(self):
        """Without limits it is done without; a limit is an error, and says whose it would be to mend."""
        bundle = self.rootless("cat", "/proc/self/cgroup")
        bundle.linux["cgroupsPath"] = "/not-delegated"
        bundle.linux["resources"] = {}
        self.assertEqual(self.run_and_delete("strata", bundle), (0, "0::/delegated/session\n"))
        bundle.linux["resources"] = {"memory": {"limit": 32 << 20}}
        status, output = self.run_and_delete("strata", bundle)
        self.assertEqual(status, 1)
        self.assertIn("delegated to you", output)


if __name__ == "__main__":
    unittest.main()
