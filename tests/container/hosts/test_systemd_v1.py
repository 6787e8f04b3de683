"""Control groups of version 1 that systemd makes, beside runc's."""
import json
import subprocess
import unittest
from pathlib import Path

from test_systemd import SystemdTestCase, devices, is_known, show

FILES = {"memory/memory.limit_in_bytes": str(64 << 20), "cpu/cpu.shares": "512", "cpu/cpu.cfs_quota_us": "50000",
         "cpuset/cpuset.cpus": "1", "pids/pids.max": "33", "blkio/tasks": None, "freezer/freezer.state": "THAWED"}
PROPERTIES = ["ActiveState", "Slice", "Delegate", "MemoryLimit", "CPUShares", "CPUQuotaPerSecUSec", "AllowedCPUs", "TasksMax",
              "BlockIOAccounting", "DevicePolicy", "DeviceAllow"]


class Version1TestCase(SystemdTestCase):
    def test_life_beside_runc(self):
        seen = {}
        for name in ("strata", "runc"):
            runtime = self.runtime(name)
            bundle = self.bundle("sleep", "1000", path=":box:" + name, memory={"limit": 64 << 20}, pids={"limit": 33},
                                 cpu={"shares": 512, "quota": 50000, "period": 100000, "cpus": "1", "mems": "0"})
            container, _ = self.created(runtime, bundle, "run")
            unit, pid = f"box-{name}.scope", str(runtime.state(container)["pid"])
            place = lambda file: Path("/sys/fs/cgroup", file.split("/")[0], "system.slice", unit, file.split("/")[1])
            for file, text in FILES.items():
                self.assertEqual(place(file).read_text().strip(), text or pid, (name, file))
            seen[name] = [devices(show(unit, *PROPERTIES))]
            runtime("update", "--memory", 48 << 20, "--pids-limit", 44, container)
            self.assertEqual(place("memory/memory.limit_in_bytes").read_text().strip(), str(48 << 20))
            seen[name].append(show(unit, "MemoryLimit", "TasksMax"))
            runtime("delete", "--force", container)
            self.assertFalse(is_known(unit), name)
            self.assertEqual(list(Path("/sys/fs/cgroup").glob(f"*/system.slice/{unit}")), [], name)
        self.assertEqual(seen["strata"], seen["runc"])

    def test_rules_for_devices_outlive_a_reload(self):
        bundle = self.bundle("sleep", "1000", path=":box:kept")
        container, _ = self.created(self.strata, bundle, "run")
        rules = Path("/sys/fs/cgroup/devices/system.slice/box-kept.scope/devices.list")
        for allow in (True, False):
            self.strata("update", "--resources", "-", container, stdin=None, input=json.dumps({"devices": [
                {"allow": False, "access": "rwm"}, {"allow": allow, "type": "c", "major": 1, "minor": 11, "access": "r"}]}))
            subprocess.run(["systemctl", "daemon-reload"], check=True)
            self.assertEqual("c 1:11 r" in rules.read_text().splitlines(), allow)


if __name__ == "__main__":
    unittest.main()
