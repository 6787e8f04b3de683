"""What the specification gained last, and what only some hosts have: network devices, memory policy, clocks, schedulers,
AppArmor, SELinux."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from case import RuntimeTestCase
from oci import new_id

PROFILE = """profile strata-test flags=(attach_disconnected,mediate_deleted) {
  file, capability, signal, ptrace, mount, umount,
  deny /secret r,
}
"""


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class NetDevicesTestCase(RuntimeTestCase):
    def setUp(self):
        super().setUp()
        for name in ("dummy7", "dummy8"):
            ip("link", "add", name, "type", "dummy")
            self.addCleanup(subprocess.run, ["ip", "link", "del", name], capture_output=True)
        ip("addr", "add", "10.77.0.1/24", "dev", "dummy7")
        ip("addr", "add", "fd77::1/64", "dev", "dummy7", "nodad")
        ip("link", "set", "dummy7", "up", "mtu", "1400")

    def test_moved_with_their_addresses(self):
        """Renamed, up, with attributes and addresses as they were; the kernel chooses a name for a template."""
        bundle = self.bundle(script="ip -o addr; ip -o link")
        bundle.linux["netDevices"] = {"dummy7": {"name": "inside"}, "dummy8": {"name": "eth%d"}}
        output = self.output(bundle)
        self.assertRegex(output, r"inside +inet 10\.77\.0\.1/24 .*scope global")
        self.assertRegex(output, r"inside +inet6 fd77::1/64 scope global")
        self.assertRegex(output, r"inside: <[^>]*\bUP\b[^>]*> mtu 1400")
        self.assertRegex(output, r"eth0: <[^>]*\bUP\b")
        self.assertFalse(Path("/sys/class/net/dummy7").exists())  # a dummy device ends with its namespace

    def test_into_a_namespace_that_has_the_index(self):
        """It is joined by its path, and has devices of its own."""
        index = int(Path("/sys/class/net/dummy8/ifindex").read_text())
        ip("netns", "add", "busy")
        self.addCleanup(ip, "netns", "del", "busy")
        ip("netns", "exec", "busy", "ip", "link", "add", "taken", "index", str(index), "type", "dummy")
        bundle = self.bundle(script="ip -o link")
        bundle.namespace("network", path="/run/netns/busy")
        bundle.linux["netDevices"] = {"dummy8": {}}
        self.assertRegex(self.output(bundle), r"dummy8: <[^>]*\bUP\b")
        self.assertIn("taken", ip("-n", "busy", "link"))
        bundle.linux["netDevices"] = {"dummy7": {"name": "taken"}}
        self.assertIn("it has a taken already", self.run_bundle(bundle, check=False).stderr)
        self.assertIn("10.77.0.1", ip("addr", "show", "dummy7"))

    def test_what_cannot_be(self):
        bundle = self.bundle("true")
        bundle.linux["netDevices"] = {"nosuch0": {}}
        self.assertIn("network device nosuch0", self.run_bundle(bundle, check=False).stderr)
        bundle.linux["netDevices"] = {"dummy7": {}}
        bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "network"]
        self.assertNotEqual(self.run_bundle(bundle, check=False).returncode, 0)
        self.assertIn("dummy7", ip("link"))


class AttributesTestCase(RuntimeTestCase):
    def test_memory_policy(self):
        bundle = self.bundle(script="head -1 /proc/self/numa_maps | cut -d' ' -f2")
        for policy, seen in (({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
                             ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "prefer=static:0"),
                             ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
                             ({"mode": "MPOL_LOCAL"}, "local")):
            bundle.linux["memoryPolicy"] = policy
            self.assertEqual(self.output(bundle), seen + "\n", policy)
        bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "9"}
        self.assertIn("linux.memoryPolicy", self.run_bundle(bundle, check=False).stderr)

    def test_scheduler_and_io_priority(self):
        bundle = self.bundle(script="ionice -p $$; set -- $(cat /proc/$$/stat); echo nice ${19} priority ${40} policy ${41}")
        bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
        bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 3}
        self.assertEqual(self.output(bundle).splitlines(), ["best-effort: prio 3", "nice 5 priority 0 policy 3"])
        bundle.process["scheduler"] = {"policy": "SCHED_FIFO", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
        bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE"}
        self.assertEqual(self.output(bundle).splitlines(), ["idle", "nice 0 priority 7 policy 1"])

    def test_processors_of_an_exec(self):
        bundle = self.bundle("sleep", "1000")
        container = self.started(bundle)
        process = Path(bundle.path, "process.json")
        process.write_text(json.dumps(dict(bundle.process, args=["grep", "Cpus_allowed_list", "/proc/self/status"],
                                           execCPUAffinity={"initial": "0", "final": "1"})))
        self.assertEqual(self.runtime("exec", "--process", process, container).stdout.split(), ["Cpus_allowed_list:", "1"])

    def test_clocks(self):
        """Of the first process, and of another one that enters."""
        bundle = self.bundle("sleep", "1000")
        bundle.namespace("time")
        bundle.linux["timeOffsets"] = {"boottime": {"secs": 10000000}, "monotonic": {"secs": 3000000, "nanosecs": 500}}
        container = self.started(bundle)
        lines = self.runtime("exec", container, "sh", "-c", "cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").stdout.splitlines()
        self.assertEqual([line.split() for line in lines[:2]], [["monotonic", "3000000", "500"], ["boottime", "10000000", "0"]])
        self.assertGreaterEqual(int(lines[2]), 10000000)


class LabelsTestCase(RuntimeTestCase):
    def test_apparmor(self):
        """A profile of the host's confines the program, and one that enters."""
        with tempfile.NamedTemporaryFile("w", suffix=".profile") as file:
            file.write(PROFILE)
            file.flush()
            subprocess.run(["apparmor_parser", "--skip-cache", "--replace", file.name], check=True, capture_output=True)
        look = "cat /proc/self/attr/current; cat /secret || echo refused; cat /open"
        for name in ("crun", "strata"):
            bundle = self.bundle(script=look)
            for file in ("secret", "open"):
                Path(bundle.rootfs, file).write_text(f"{file}\n")
            bundle.process["apparmorProfile"] = "strata-test"
            self.runtime.name = name
            self.assertEqual(self.output(bundle), "strata-test (enforce)\nrefused\nopen\n", name)
        bundle.process["args"] = ["sleep", "1000"]
        container = self.started(bundle)
        self.assertEqual(self.runtime("exec", container, "sh", "-c", look).stdout, "strata-test (enforce)\nrefused\nopen\n")
        bundle.process["apparmorProfile"] = "no-such-profile"
        self.assertIn("no-such-profile", self.run_bundle(bundle, check=False).stderr)

    def test_selinux_is_not_here(self):
        bundle = self.bundle("true")
        bundle.process["selinuxLabel"] = "system_u:system_r:container_t:s0"
        self.assertIn("this host has no SELinux", self.run_bundle(bundle, check=False).stderr)


if __name__ == "__main__":
    unittest.main()
