"""Mounts, namespaces, devices and limits, as seen from inside."""
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from case import RuntimeTestCase, cgroups, eventually, not_in
from oci import mount, new_id


def mounts_of(text):
    """Mount point to (options, type, superblock options) of /proc/self/mountinfo."""
    found = {}
    for line in text.splitlines():
        left, right = line.split(" - ")
        found[left.split()[4]] = (left.split()[5].split(","), right.split()[0], right.split()[2].split(","), left.split()[6:])
    return found


class MountsTestCase(RuntimeTestCase):
    def mounts(self, bundle):
        return mounts_of(self.output(bundle))

    def test_default_mounts(self):
        seen = self.mounts(self.bundle("cat", "/proc/self/mountinfo"))
        self.assertEqual({place: kind for place, (_, kind, _, _) in seen.items() if place != "/"},
                         {"/proc": "proc", "/dev": "tmpfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs",
                          "/dev/mqueue": "mqueue", "/sys": "sysfs"})
        self.assertTrue({"nosuid", "noexec", "nodev", "ro"} <= set(seen["/sys"][0]))
        self.assertIn("size=65536k", seen["/dev/shm"][2])

    def test_options(self):
        bundle = self.bundle("cat", "/proc/self/mountinfo")
        bundle.config["mounts"] += [mount("/a", "tmpfs", options=["nosuid", "nodev", "noexec", "noatime", "ro", "size=1m", "mode=700"]),
                                    mount("/b", "tmpfs", options=["nodiratime", "strictatime", "sync"])]
        seen = self.mounts(bundle)
        self.assertTrue({"ro", "nosuid", "nodev", "noexec", "noatime"} <= set(seen["/a"][0]))
        self.assertTrue({"size=1024k", "mode=700"} <= set(seen["/a"][2]))
        self.assertTrue({"rw", "nodiratime"} <= set(seen["/b"][0]))
        self.assertIn("sync", seen["/b"][2])

    def test_binds(self):
        with tempfile.TemporaryDirectory() as source:
            Path(source, "file").write_text("host\n")
            bundle = self.bundle(script="cat /data/file /single; touch /data/new; touch /ro/new || echo refused")
            bundle.config["mounts"] += [mount("/data", "bind", source, ["bind"]),
                                        mount("/ro", "none", source, ["rbind", "ro"]),
                                        mount("/single", "bind", source + "/file", ["bind", "ro"])]
            self.assertEqual(self.output(bundle), "host\nhost\nrefused\n")
            self.assertEqual(sorted(os.listdir(source)), ["file", "new"])

    def test_relative_bind_source(self):
        bundle = self.bundle("cat", "/data/file")
        os.mkdir(os.path.join(bundle.path, "volume"))
        Path(bundle.path, "volume/file").write_text("beside\n")
        bundle.config["mounts"].append(mount("/data", "bind", "volume", ["bind"]))
        self.assertEqual(self.output(bundle), "beside\n")

    def test_propagation(self):
        with tempfile.TemporaryDirectory() as source:
            for word, expected in (("rprivate", ""), ("rshared", "shared:"), ("rslave", "master:")):
                bundle = self.bundle("cat", "/proc/self/mountinfo")
                subprocess.run(["mount", "--bind", source, source], check=True)
                try:
                    subprocess.run(["mount", "--make-shared", source], check=True)
                    if word == "rshared":
                        bundle.linux["rootfsPropagation"] = "shared"
                    bundle.config["mounts"].append(mount("/data", "bind", source, ["rbind", word]))
                    tags = self.mounts(bundle)["/data"][3]
                    self.assertEqual(bool(expected), any(t.startswith(expected or "never") for t in tags), (word, tags))
                finally:
                    subprocess.run(["umount", "-l", source], check=True)

    def test_tmpcopyup(self):
        bundle = self.bundle(script="cat /etc/passwd | head -1; touch /etc/new; ls -ld /etc/link")
        os.symlink("passwd", os.path.join(bundle.rootfs, "etc/link"))
        bundle.config["mounts"].append(mount("/etc", "tmpfs", options=["tmpcopyup"]))
        out = self.output(bundle)
        self.assertIn("root:x:0:0", out)
        self.assertIn("-> passwd", out)
        self.assertFalse(Path(bundle.rootfs, "etc/new").exists())

    def test_read_only_root(self):
        bundle = self.bundle(script="touch /file; touch /dev/shm/file && echo volume")
        bundle.config["root"]["readonly"] = True
        done = self.run_bundle(bundle)
        self.assertIn("Read-only file system", done.stderr)
        self.assertEqual(done.stdout, "volume\n")

    def test_masked_and_read_only_paths(self):
        bundle = self.bundle(script="cat /proc/version | wc -c; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v :; "
                                    "cat /secret; echo 1 > /proc/sys/net/ipv4/ip_forward || echo refused; touch /keep/x || echo kept")
        Path(bundle.rootfs, "secret").write_text("secret\n")
        os.mkdir(os.path.join(bundle.rootfs, "keep"))
        bundle.linux["maskedPaths"] = ["/proc/version", "/proc/acpi", "/sys/firmware", "/secret", "/no/such/path"]
        bundle.linux["readonlyPaths"] = ["/proc/sys", "/keep", "/nor/this"]
        self.assertEqual(self.output(bundle).split(), ["0", "refused", "kept"])

    @not_in(runc="ID-mapped mounts came with 1.2", crun="1.8.1 takes its mappings in another form")
    def test_id_mapped_bind(self):
        with tempfile.TemporaryDirectory() as source:
            os.chmod(source, 0o755)
            Path(source, "file").touch()
            os.chown(os.path.join(source, "file"), 1000, 1000)
            bundle = self.bundle("stat", "-c", "%u:%g", "/data/file")
            bundle.config["mounts"].append(dict(mount("/data", "bind", source, ["bind", "idmap"]),
                                                uidMappings=[{"containerID": 1000, "hostID": 5000, "size": 1}],
                                                gidMappings=[{"containerID": 1000, "hostID": 6000, "size": 1}]))
            self.assertEqual(self.output(bundle), "5000:6000\n")

    def test_recursive_read_only(self):
        with tempfile.TemporaryDirectory() as source:
            os.mkdir(os.path.join(source, "below"))
            subprocess.run(["mount", "-t", "tmpfs", "below", os.path.join(source, "below")], check=True)
            try:
                bundle = self.bundle(script="touch /data/below/x || echo refused")
                bundle.config["mounts"].append(mount("/data", "bind", source, ["rbind", "rro"]))
                self.assertEqual(self.output(bundle), "refused\n")
            finally:
                subprocess.run(["umount", "-l", os.path.join(source, "below")], check=True)


class DevicesTestCase(RuntimeTestCase):
    def test_defaults(self):
        out = self.output(self.bundle(script="cd /dev; stat -c '%n %t:%T %a %F' null zero full random urandom tty; "
                                             "for l in fd stdin stdout stderr ptmx; do readlink $l; done; head -c 3 zero | wc -c; echo x > null"))
        lines = out.splitlines()
        for line, expected in zip(lines, ("null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0")):
            self.assertEqual(line, f"{expected} 666 character special file")
        self.assertEqual(lines[6:], ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx", "3"])

    def test_from_the_configuration(self):
        bundle = self.bundle("stat", "-c", "%n %t:%T %a %u:%g %F", "/dev/fuse", "/dev/pipe")
        bundle.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3, "gid": 4},
                                   {"path": "/dev/pipe", "type": "p", "fileMode": 0o600}]
        self.assertEqual(self.output(bundle).splitlines(), ["/dev/fuse a:e5 640 3:4 character special file", "/dev/pipe 0:0 600 0:0 fifo"])

    def test_rules(self):
        bundle = self.bundle(script="head -c 1 /dev/zero | wc -c; (: < /dev/kmsg) 2>&1 | grep -c 'not permitted'; true")
        bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
        self.assertEqual(self.output(bundle).split(), ["1", "1"])
        bundle.linux["resources"]["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"})
        bundle.process["capabilities"] = {key: ["CAP_SYSLOG"] for key in ("bounding", "effective", "permitted")}
        self.assertEqual(self.output(bundle).split(), ["1", "0"])


class NamespacesTestCase(RuntimeTestCase):
    names = {"pid": "pid", "ipc": "ipc", "uts": "uts", "mount": "mnt", "network": "net", "cgroup": "cgroup", "user": "user"}

    def inside(self, bundle, kind):
        bundle.process["args"] = ["readlink", f"/proc/self/ns/{self.names[kind]}"]
        return self.output(bundle).strip()

    def test_new_and_shared(self):
        for kind in ("pid", "ipc", "uts", "network", "cgroup"):
            own = os.readlink(f"/proc/self/ns/{self.names[kind]}")
            bundle = self.bundle("true")
            bundle.config.pop("hostname")
            bundle.namespace(kind)
            self.assertNotEqual(self.inside(bundle, kind), own, kind)
            bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != kind]
            bundle.config["mounts"] = [m for m in bundle.config["mounts"] if not (kind == "ipc" and m["type"] == "mqueue")]
            self.assertEqual(self.inside(bundle, kind), own, kind)

    def test_joined_by_path(self):
        first = self.started()
        pid = self.runtime.state(first)["pid"]
        for kind in ("pid", "ipc", "uts", "network"):
            bundle = self.bundle("true")
            bundle.config.pop("hostname")
            bundle.namespace(kind, path=f"/proc/{pid}/ns/{self.names[kind]}")
            self.assertEqual(self.inside(bundle, kind), os.readlink(f"/proc/{pid}/ns/{self.names[kind]}"), kind)

    def user_bundle(self, *args, script=None):
        bundle = self.bundle(*args, script=script)
        bundle.namespace("user")
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        return bundle

    def test_user_namespace(self):
        bundle = self.user_bundle(script="id -u; cat /proc/self/uid_map; stat -c %u /; ls /dev/null; head -c1 /dev/zero | wc -c; stat -c %u /dev/mqueue /proc/sys/net/ipv4/ip_forward")
        lines = self.output(bundle).splitlines()
        self.assertEqual((lines[0], lines[1].split(), lines[2]), ("0", ["0", "100000", "65536"], "65534"))
        self.assertEqual(lines[3:5], ["/dev/null", "1"])
        self.assertEqual(lines[5:], ["0", "0"])

    def test_user_namespace_with_exec(self):
        bundle = self.user_bundle("sleep", "1000")
        container = self.started(bundle)
        self.assertEqual(self.runtime("exec", container, "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split(), ["0", "0", "100000", "65536"])

    @not_in(runc="the time namespace came with 1.2", crun="its own default offsets differ")
    def test_time_namespace(self):
        bundle = self.bundle("cat", "/proc/uptime")
        bundle.namespace("time")
        bundle.linux["timeOffsets"] = {"boottime": {"secs": 10000000, "nanosecs": 0}, "monotonic": {"secs": 5}}
        self.assertGreater(float(self.output(bundle).split()[0]), 10000000)

    def test_sysctl(self):
        bundle = self.bundle("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shmmni")
        bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.shmmni": "1234"}
        self.assertEqual(self.output(bundle).split(), ["1", "1234"])
        bundle.linux["sysctl"] = {"vm.swappiness": "1"}
        self.assertNotEqual(self.run_bundle(bundle, check=False).returncode, 0)


class CgroupsTestCase(RuntimeTestCase):
    def files(self, container, wanted):
        """Values of a controller's files, whichever version the host has it in."""
        values = {}
        for controller, name in wanted:
            directory = next(p for p in cgroups(container) if (p / name).exists())
            values[name] = (directory / name).read_text().strip()
        return values

    def test_limits(self):
        bundle = self.bundle("sleep", "1000")
        bundle.linux["resources"].update({"memory": {"limit": 64 << 20, "swap": 128 << 20, "reservation": 32 << 20},
                                          "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
                                          "pids": {"limit": 33}})
        container = self.started(bundle)
        if not Path("/sys/fs/cgroup/memory").exists():
            self.fail("this suite reads the files of cgroup version 1; this host has version 2 only")
        self.assertEqual(self.files(container, [("memory", "memory.limit_in_bytes"), ("memory", "memory.soft_limit_in_bytes"), ("cpu", "cpu.shares"),
                                                ("cpu", "cpu.cfs_quota_us"), ("cpuset", "cpuset.cpus"), ("pids", "pids.max")]),
                         {"memory.limit_in_bytes": str(64 << 20), "memory.soft_limit_in_bytes": str(32 << 20), "cpu.shares": "512",
                          "cpu.cfs_quota_us": "50000", "cpuset.cpus": "0", "pids.max": "33"})

    def test_memory_limit_holds(self):
        bundle = self.bundle(script="head -c 200m /dev/zero | tail | wc -c")
        bundle.linux["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
        self.assertNotEqual(self.run_bundle(bundle, check=False).stdout.strip(), str(200 << 20))

    def test_pids_limit_holds(self):
        bundle = self.bundle(script="for i in 1 2 3 4 5 6 7 8 9; do sleep 3 & done; wait")
        bundle.linux["resources"]["pids"] = {"limit": 5}
        self.assertIn("Resource temporarily unavailable", self.run_bundle(bundle, check=False).stderr)

    def test_update(self):
        container = self.started()
        self.runtime("update", "--memory", str(48 << 20), "--memory-swap", str(96 << 20), "--pids-limit", "44", "--cpu-quota", "20000", container)
        self.assertEqual(self.files(container, [("memory", "memory.limit_in_bytes"), ("pids", "pids.max"), ("cpu", "cpu.cfs_quota_us")]),
                         {"memory.limit_in_bytes": str(48 << 20), "pids.max": "44", "cpu.cfs_quota_us": "20000"})
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"memory": {"limit": 33554432}, "pids": {"limit": 11}}')
            file.flush()
            self.runtime("update", "--resources", file.name, container)
        self.assertEqual(self.files(container, [("memory", "memory.limit_in_bytes"), ("pids", "pids.max")]),
                         {"memory.limit_in_bytes": str(32 << 20), "pids.max": "11"})

    def test_path(self):
        bundle = self.bundle("sleep", "1000")
        container = new_id()
        bundle.linux["cgroupsPath"] = f"/strata-test/{container}-leaf"
        self.runtime.quietly("run", "--detach", "--bundle", bundle.write(), container)
        pid = self.runtime.state(container)["pid"]
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            self.assertIn(line.split(":", 2)[2], (f"/strata-test/{container}-leaf", "/"), line)
        self.runtime("delete", "--force", container)
        self.assertEqual(cgroups(f"{container}-leaf"), [])

    def test_view(self):
        bundle = self.bundle(script="ls /sys/fs/cgroup; cat /sys/fs/cgroup/pids/pids.max; mkdir /sys/fs/cgroup/pids/x || echo refused")
        bundle.config["mounts"].append(mount("/sys/fs/cgroup", "cgroup", options=["nosuid", "noexec", "nodev", "relatime", "ro"]))
        bundle.linux["resources"]["pids"] = {"limit": 21}
        for kind in (None, "cgroup"):
            if kind:
                bundle.namespace(kind)
            words = self.output(bundle).split()
            self.assertTrue({"memory", "pids", "cpu", "21", "refused"} <= set(words), words)


if __name__ == "__main__":
    unittest.main()
