"""Control groups that systemd makes (--systemd-cgroup), on a host that it has started: its units, beside runc's and
crun's; what others do with them meanwhile; a user's own manager; Podman as it is by default, and containerd."""
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
from oci import Bundle, Runtime, make_rootfs, new_id

CGROUPS = Path("/sys/fs/cgroup")
USER = 1000
AS_USER = [shutil.which("setpriv"), f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
USER_SYSTEMCTL = [*AS_USER, "env", f"XDG_RUNTIME_DIR=/run/user/{USER}", "systemctl", "--user"]
LIMITS = {"memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20},
          "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "1", "mems": "0"},
          "pids": {"limit": 33}, "unified": {"memory.high": str(48 << 20)}}
FILES = {"memory.max": str(64 << 20), "memory.swap.max": str(32 << 20), "memory.low": str(32 << 20), "memory.high": str(48 << 20),
         "cpu.weight": "20", "cpu.max": "50000 100000", "cpuset.cpus": "1", "cpuset.mems": "0", "pids.max": "33"}
PROPERTIES = ["ActiveState", "Slice", "Delegate", "DefaultDependencies", "MemoryAccounting", "CPUAccounting", "IOAccounting",
              "TasksAccounting", "MemoryMax", "MemoryLow", "MemoryHigh", "MemorySwapMax", "CPUWeight", "CPUQuotaPerSecUSec",
              "CPUQuotaPeriodUSec", "AllowedCPUs", "AllowedMemoryNodes", "TasksMax", "DevicePolicy", "DeviceAllow"]


def show(unit, *properties, systemctl=("systemctl",)):
    """What systemd says of a unit; {"LoadState": "not-found"} of one that it does not know."""
    lines = subprocess.run([*systemctl, "show", unit, "-p", ",".join(properties or PROPERTIES)], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    seen = {}
    for key, value in (line.split("=", 1) for line in lines):
        seen.setdefault(key, []).append(value)  # a line for each device
    return {key: sorted(values) if len(values) > 1 else values[0] for key, values in seen.items()}


def devices(properties):
    """The list of devices without what is spelled in several ways, and /dev/net/tun, which Debian's runc adds for all."""
    drivers = {"char-pts rwm": "char-136 rwm"}
    return dict(properties, DeviceAllow=sorted(drivers.get(line, line) for line in properties["DeviceAllow"] if "10:200" not in line))


def is_known(unit, systemctl=("systemctl",)):
    return show(unit, "LoadState", systemctl=systemctl) != {"LoadState": "not-found"}


class SystemdTestCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.strata = self.runtime("strata")

    def runtime(self, name):
        runtime = Runtime(name, ["--systemd-cgroup"])
        self.addCleanup(runtime.close)
        return runtime

    def bundle(self, *args, script=None, path=None, **resources):
        bundle = Bundle(*args, script=script)
        self.addCleanup(bundle.close)
        bundle.linux["resources"].update(resources)
        if path:
            bundle.linux["cgroupsPath"] = path
        return bundle

    def created(self, runtime, bundle, verb="create"):
        """The ID of a container; its cgroup's directory."""
        container, log = new_id(), Path(bundle.path, "log")
        flags = ["--detach"] if verb == "run" else []
        done = runtime.quietly("--log", log, verb, *flags, "--bundle", bundle.write(), container)
        self.assertEqual(done.returncode, 0, log.read_text() if log.exists() else runtime.name)
        return container, CGROUPS / self.cgroup(runtime.state(container)["pid"])

    def cgroup(self, pid):
        return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")

    def read(self, directory, names=FILES):
        return {name: (directory / name).read_text().strip() for name in names}

    def refused(self, bundle, *words, container=None, runtime=None, **options):
        """One line with these words, and nothing is left."""
        runtime, container = runtime or self.strata, container or new_id()
        done = runtime("create", "--bundle", bundle.write(), container, check=False, **options)
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotIn(container, os.listdir(runtime.root))


class UnitTestCase(SystemdTestCase):
    def test_life_beside_others(self):
        """The same unit, the same group, the same limits; after an update, too; and nothing is left."""
        seen = {}
        for name in ("strata", "runc", "crun"):
            runtime = self.runtime(name)
            container, inner = self.created(runtime, self.bundle("true", path="system-box.slice:box:" + name, **LIMITS))
            unit = f"box-{name}.scope"
            directory = CGROUPS / "system.slice/system-box.slice" / unit
            self.assertEqual(inner, directory / "container" if name == "crun" else directory)
            self.assertEqual(self.read(inner), FILES, name)
            made = show(unit)
            runtime("update", "--memory", 48 << 20, "--memory-swap", 96 << 20, "--pids-limit", 44, "--cpu-quota", 20000,
                    "--cpu-period", 100000, "--cpuset-cpus", "0", container)
            self.assertEqual(self.read(inner, ["memory.max", "memory.swap.max", "pids.max", "cpu.max", "cpuset.cpus"]),
                             {"memory.max": str(48 << 20), "memory.swap.max": str(48 << 20), "pids.max": "44",
                              "cpu.max": "20000 100000", "cpuset.cpus": "0"}, name)
            seen[name] = [made, show(unit)]
            runtime("delete", "--force", container)
            self.assertFalse(is_known(unit), name)
            self.assertFalse(directory.exists(), name)
        self.assertEqual(*([devices(each) for each in seen[name]] for name in ("strata", "runc")))
        # crun 1.8 limits a group below the scope, of which systemd does not know.
        for name in ("ActiveState", "Slice", "Delegate", "DefaultDependencies", "CPUWeight", "MemoryAccounting", "TasksAccounting"):
            self.assertEqual(seen["strata"][0][name], seen["crun"][0][name], name)

    def test_names(self):
        for path, unit, place in (("", "strata-{}.scope", "system.slice"), (":box:{}", "box-{}.scope", "system.slice"),
                                  ("-:box:{}", "box-{}.scope", ""), ("a-b-c.slice:box:{}", "box-{}.scope", "a.slice/a-b.slice/a-b-c.slice")):
            container = new_id()
            bundle = self.bundle(script="cat /proc/self/cgroup", path=path.format(container))
            output = self.strata("run", "--bundle", bundle.write(), container).stdout
            self.assertEqual(output.strip().removeprefix("0::/"), os.path.join(place, unit.format(container)))
            self.assertFalse(is_known(unit.format(container)))

    def test_bad_names(self):
        for path, words in (("/box/first", "SLICE:PREFIX:NAME"), ("box", "SLICE:PREFIX:NAME"), ("box:a:b", "'box' is not the name of a slice"),
                            ("a/b.slice:a:b", "is not the name of a slice"), ("system.slice:a:b/c", "'a-b/c.scope' cannot be the name")):
            self.refused(self.bundle("true", path=path), words)

    def test_a_slice(self):
        container, directory = self.created(self.strata, self.bundle("sleep", "1000", path="box.slice::box-inner.slice", pids={"limit": 9}), "run")
        self.assertEqual(directory, CGROUPS / "box.slice/box-inner.slice")
        self.assertEqual(show("box-inner.slice", "ActiveState", "TasksMax"), {"ActiveState": "active", "TasksMax": "9"})
        self.strata("delete", "--force", container)
        self.assertFalse(directory.exists())

    def test_a_unit_that_is_there(self):
        """Nothing happens to it, nor to who is in it."""
        path = "system.slice:box:taken"
        first, directory = self.created(self.strata, self.bundle("sleep", "1000", path=path), "run")
        self.refused(self.bundle("true", path=path), "box-taken.scope", "systemctl stop box-taken.scope")
        self.assertEqual(self.strata.state(first)["status"], "running")
        self.strata("delete", "--force", first)
        self.assertFalse(is_known("box-taken.scope"))
        # One that is kept because it failed is no hindrance.
        subprocess.run(["systemd-run", "--quiet", "--scope", "--unit", "box-taken", "-p", "RuntimeMaxSec=1", "sleep", "1000"])
        self.assertEqual(show("box-taken.scope", "ActiveState"), {"ActiveState": "failed"})
        self.strata("run", "--bundle", self.bundle("true", path=path).write(), new_id())
        self.assertFalse(is_known("box-taken.scope"))

    def test_annotations(self):
        bundle = self.bundle("sleep", "1000", path=":box:noted")
        bundle.config["annotations"] = {"org.systemd.property.TimeoutStopUSec": "uint64 123000000",
                                        "org.systemd.property.CollectMode": "'inactive-or-failed'",
                                        "org.systemd.property.Before": "['a.service', 'b.service']",
                                        "org.systemd.property.RuntimeMaxSec": "1000", "org.systemd.property.MemoryHigh": "@t 50000000"}
        names = ["TimeoutStopUSec", "CollectMode", "Before", "RuntimeMaxUSec"]
        seen = {}
        for name in ("strata", "runc"):
            runtime = self.runtime(name)
            container, _ = self.created(runtime, bundle)
            seen[name] = show("box-noted.scope", *names)
            seen[name]["Before"] = sorted(seen[name]["Before"].split())
            runtime("delete", "--force", container)
        self.assertEqual(seen["strata"], seen["runc"])
        self.assertEqual(seen["strata"]["TimeoutStopUSec"], "2min 3s")
        for name, value, words in (("TimeoutStopSec", "soon", "'soon' is not a value"), ("Nonsense", "true", "unknown property"),
                                   ("MemoryMax", "'text'", "org.systemd.property.*")):
            bundle.config["annotations"] = {f"org.systemd.property.{name}": value}
            self.refused(bundle, words)
            self.assertFalse(is_known("box-noted.scope"))

    def test_a_unit_that_fails(self):
        """systemd ends it, and keeps it; delete removes it."""
        bundle = self.bundle("sleep", "1000", path=":box:short")
        bundle.config["annotations"] = {"org.systemd.property.RuntimeMaxSec": "1", "org.systemd.property.TimeoutStopSec": "1"}
        container, directory = self.created(self.strata, bundle, "run")
        eventually(lambda: self.strata.state(container)["status"] == "stopped", "its end")
        eventually(lambda: show("box-short.scope", "ActiveState") == {"ActiveState": "failed"}, "the unit's end")
        self.strata("delete", container)
        self.assertFalse(is_known("box-short.scope"))

    def test_it_ends_with_its_processes(self):
        container, directory = self.created(self.strata, self.bundle("sleep", "1000", path=":box:ended"), "run")
        self.strata("kill", container, "KILL")
        eventually(lambda: not directory.exists(), "the end of the group")
        self.assertEqual(self.strata.state(container)["status"], "stopped")
        self.strata("delete", container)
        self.assertEqual(os.listdir(self.strata.root), [])


class LimitsTestCase(SystemdTestCase):
    def test_more_controllers(self):
        """Those that systemd does not hand down."""
        _, directory = self.created(self.strata, self.bundle("true", hugepageLimits=[{"pageSize": "2MB", "limit": 4 << 20}]))
        self.assertEqual(self.read(directory, ["hugetlb.2MB.max"]), {"hugetlb.2MB.max": str(4 << 20)})

    def test_they_outlive_a_reload(self):
        """Limits and rules for devices, after an update, too."""
        kmsg = {"type": "c", "major": 1, "minor": 11, "access": "rwm"}
        bundle = self.bundle("sleep", "1000", path=":box:kept", **LIMITS)
        bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
        bundle.process["capabilities"] = {key: ["CAP_SYSLOG"] for key in ("bounding", "effective", "permitted")}
        container, directory = self.created(self.strata, bundle, "run")
        limits = dict(FILES)
        for allow in (False, True, False):
            self.strata("update", "--pids-limit", 40 + allow, "--resources", "-", container, stdin=None,
                        input=json.dumps({"devices": [{"allow": False, "access": "rwm"}, dict(kmsg, allow=allow)]}))
            limits["pids.max"] = str(40 + allow)
            for _ in range(2):
                self.assertEqual(self.strata("exec", container, "sh", "-c", ": </dev/kmsg", check=False).returncode == 0, allow)
                self.assertEqual("/dev/char/1:11 rwm" in show("box-kept.scope", "DeviceAllow")["DeviceAllow"], allow)
                self.assertEqual(self.read(directory), limits)
                subprocess.run(["systemctl", "daemon-reload"], check=True)

    def test_all_but_some_devices(self):
        """That is no list, so the program on the group says it alone."""
        bundle = self.bundle(script="for device in kmsg full; do (: </dev/$device) 2>/dev/null && echo $device; done; sleep 1000", path=":box:most")
        bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
        bundle.process["capabilities"] = {key: ["CAP_SYSLOG"] for key in ("bounding", "effective", "permitted")}
        bundle.linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}, {"allow": False, "type": "c", "major": 1, "minor": 11}]
        container, _ = self.created(self.strata, bundle, "run")
        self.assertEqual(show("box-most.scope", "DevicePolicy"), {"DevicePolicy": "auto"})
        self.assertNotEqual(self.strata("exec", container, "sh", "-c", ": </dev/kmsg", check=False).returncode, 0)
        self.assertEqual(self.strata("exec", container, "sh", "-c", ": </dev/full", check=False).returncode, 0)


class BusTestCase(SystemdTestCase):
    def hiding(self, *paths):
        """The runtime where others hide these sockets."""
        covers = " && ".join(f"mount --bind /dev/null {path}" for path in paths)
        runtime = self.runtime("strata")
        command = runtime.command()
        runtime.command = lambda: ["unshare", "-m", "sh", "-c", f'{covers} && exec "$@"', "sh", *command]
        return runtime

    def test_through_the_message_bus(self):
        runtime = self.hiding("/run/systemd/private")
        container, directory = self.created(runtime, self.bundle("true", path=":box:bus", **LIMITS))
        self.assertEqual(self.read(directory), FILES)
        runtime("delete", container)
        self.assertFalse(is_known("box-bus.scope"))

    def test_none_to_be_reached(self):
        runtime = self.hiding("/run/systemd/private", "/run/dbus/system_bus_socket")
        self.refused(self.bundle("true"), "the system's manager", runtime=runtime)

    def test_no_program_to_ask_with(self):
        runtime = self.runtime("strata")
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        alone = shutil.copy2(os.environ["STRATA_OCI"], folder)
        runtime.command = lambda: [alone, *runtime.flags, "--root", runtime.root]
        self.refused(self.bundle("true"), f"cannot run {folder}/strata-units", "belongs in the directory", runtime=runtime)


def start_user_manager():
    """Once for all tests: it goes on as long as the host."""
    subprocess.run(["systemctl", "--no-ask-password", "start", f"user@{USER}.service"], check=True)


class UserTestCase(SystemdTestCase):
    """A user of no rights, who has a manager of his own."""

    def setUp(self):
        start_user_manager()
        self.folder = tempfile.mkdtemp(prefix="user-")
        os.chown(self.folder, USER, USER)
        self.addCleanup(shutil.rmtree, self.folder)

    def call(self, *command, runtime=f"/run/user/{USER}"):
        with tempfile.TemporaryFile("w+") as output:  # which the container may keep open
            done = subprocess.run([*AS_USER, *map(str, command)],
                                  stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                  env=dict(os.environ, XDG_RUNTIME_DIR=runtime))
            output.seek(0)
            return done.returncode, output.read()

    def oci(self, *arguments, **options):
        return self.call(os.environ["STRATA_OCI"], "--systemd-cgroup", "--root", f"{self.folder}/state", *arguments, **options)

    def rootless(self, *args, **details):
        bundle = self.bundle(*args, **details)
        bundle.namespace("user")
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": USER, "size": 1},
                                                                     {"containerID": 1, "hostID": 100000, "size": 65536}]
        subprocess.run(["chown", "-R", f"{USER}:{USER}", bundle.path], check=True)
        return bundle

    def test_a_unit_of_his_own(self):
        bundle = self.rootless("sleep", "1000", path=":box:own", memory={"limit": 32 << 20}, pids={"limit": 6})
        self.assertEqual(self.oci("run", "--detach", "--bundle", bundle.write(), "own"), (0, ""))
        directory = CGROUPS / f"user.slice/user-{USER}.slice/user@{USER}.service/user.slice/box-own.scope"
        self.assertEqual(self.read(directory, ["memory.max", "pids.max"]), {"memory.max": str(32 << 20), "pids.max": "6"})
        self.assertEqual(show("box-own.scope", "MemoryMax", "TasksMax", "Slice", systemctl=USER_SYSTEMCTL),
                         {"MemoryMax": str(32 << 20), "TasksMax": "6", "Slice": "user.slice"})
        self.assertEqual(self.oci("update", "--pids-limit", 9, "own"), (0, ""))
        self.assertEqual(self.read(directory, ["pids.max"]), {"pids.max": "9"})
        self.assertEqual(show("box-own.scope", "TasksMax", systemctl=USER_SYSTEMCTL), {"TasksMax": "9"})
        self.assertIn("user.slice/box-own.scope", self.oci("exec", "own", "cat", "/proc/self/cgroup")[1])
        self.assertEqual(self.oci("pause", "own"), (0, ""))
        self.assertIn("frozen 1", (directory / "cgroup.events").read_text())
        self.assertEqual(self.oci("delete", "--force", "own"), (0, ""))
        self.assertFalse(directory.exists())
        self.assertFalse(is_known("box-own.scope", USER_SYSTEMCTL))

    def test_as_root_of_a_user_namespace(self):
        """As Podman calls it."""
        bundle = self.rootless("cat", "/proc/self/cgroup", path="user.slice:libpod:inner")
        status, output = self.call("unshare", "--user", "--map-root-user", "--mount", os.environ["STRATA_OCI"], "--systemd-cgroup", "--root",
                                   f"{self.folder}/state", "run", "--bundle", self.mapped(bundle).write(), "inner")
        self.assertEqual((status, output), (0, f"0::/user.slice/user-{USER}.slice/user@{USER}.service/user.slice/libpod-inner.scope\n"))

    def mapped(self, bundle):
        bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "user"]
        del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] not in ("sysfs", "mqueue", "devpts")]
        return bundle

    def test_no_manager(self):
        bundle = self.rootless("true")
        status, output = self.oci("run", "--bundle", bundle.write(), "none", runtime="/nowhere")
        self.assertEqual((status, len(output.splitlines())), (1, 1), output)
        self.assertIn("enable-linger", output)


class PodmanTestCase(SystemdTestCase):
    """With the manager of cgroups that it has by default here."""

    def podman(self, *arguments, caller=()):
        done = subprocess.run([*caller, "podman", "--root", f"{self.folder}/storage", "--runroot", f"{self.folder}/run", "--runtime",
                               os.environ["STRATA_OCI"], *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(done.returncode, 0, (arguments, done.stdout, done.stderr))
        return done.stdout

    def make_folder(self, user):
        self.folder = tempfile.mkdtemp(prefix="podman-", dir="/var/tmp")  # overlayfs wants no tmpfs of its own
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        make_rootfs(os.path.join(self.folder, "rootfs"))
        subprocess.run(["chown", "-R", f"{user}:{user}", self.folder], check=True)

    def lives(self, slice_name, caller=(), systemctl=("systemctl",)):
        name = self.podman("run", "-d", "--network", "none", "--memory", "64m", "--pids-limit", "33", "--rootfs", f"{self.folder}/rootfs",
                           "sleep", "1000", caller=caller).strip()
        unit = f"libpod-{name}.scope"
        seen = show(unit, "Slice", "MemoryMax", "TasksMax", systemctl=systemctl)
        self.assertEqual(seen, {"Slice": slice_name, "MemoryMax": str(64 << 20), "TasksMax": "33"})
        self.assertEqual(self.podman("exec", name, "cat", "/proc/self/cgroup", caller=caller), "0::/\n")
        self.podman("rm", "-f", "-t", "0", name, caller=caller)
        self.assertFalse(is_known(unit, systemctl))

    def test_by_default(self):
        self.make_folder(0)
        self.lives("machine.slice")

    def test_of_a_user(self):
        start_user_manager()
        self.make_folder(USER)
        environment = [f"HOME={self.folder}", f"XDG_RUNTIME_DIR=/run/user/{USER}", f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{USER}/bus"]
        caller = [*AS_USER, "env", *environment]
        try:
            self.lives("user.slice", caller, USER_SYSTEMCTL)
        finally:
            subprocess.run([*caller, "podman", "system", "migrate"], cwd=self.folder, capture_output=True)  # ends what it keeps running


class ContainerdTestCase(SystemdTestCase):
    def test_with_its_option_for_it(self):
        folder = tempfile.mkdtemp(prefix="containerd-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        Path(folder, "config.toml").write_text(f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
                                               'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        daemon = subprocess.Popen(["containerd", "--config", f"{folder}/config.toml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)

        def ctr(*arguments, check=True):
            return subprocess.run(["ctr", *arguments], check=check, stdin=subprocess.DEVNULL, capture_output=True, text=True)

        eventually(lambda: ctr("version", check=False).returncode == 0, "containerd")
        make_rootfs(f"{folder}/rootfs")
        ctr("run", "-d", "--rootfs", "--runc-binary", os.environ["STRATA_OCI"], "--runc-systemd-cgroup", "--cgroup", "box.slice:ctr:first",
            "--memory-limit", str(64 << 20), f"{folder}/rootfs", "first", "sleep", "1000")
        self.assertEqual(show("ctr-first.scope", "Slice", "MemoryMax"), {"Slice": "box.slice", "MemoryMax": str(64 << 20)})
        self.assertRegex(ctr("task", "metrics", "first").stdout, rf"memory.usage_limit +{64 << 20}")
        ctr("task", "kill", "-s", "9", "first")
        eventually(lambda: "STOPPED" in ctr("task", "ls").stdout, "its end")
        ctr("task", "delete", "first", check=False)  # the status may be the container's
        ctr("container", "delete", "first")
        self.assertFalse(is_known("ctr-first.scope"))


if __name__ == "__main__":
    unittest.main()
