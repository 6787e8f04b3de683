"""One bundle under Strata, runc and crun: the process inside sees the same, and so does the caller."""
import os
import re
import unittest

from oci import Bundle, Runtime, mount, new_id

PROBE = r"""
section() { echo "== $1"; }
section identity; id -u; id -g; id -G; umask; pwd; hostname
section environment; env | sort
section status; grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status
section limits; tail -n +2 /proc/self/limits
section descriptors; for fd in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/1/fd/$fd && echo $fd; done
section devices; cd /dev; stat -c '%n %F %t:%T %a %u:%g' * | grep -v -E '^(shm|mqueue) '
section links; for l in fd stdin stdout stderr ptmx; do readlink $l; done
section masked; wc -c < /proc/version; ls /proc/acpi 2>/dev/null; ls /sys/firmware
section readonly; touch /proc/sys/kernel/shmmni 2>&1; touch /file 2>&1
section sysctl; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni
section processes; ls /proc | grep -E '^[0-9]+$' | head -1
section network; ls /sys/class/net; cat /proc/sys/net/ipv4/conf/lo/forwarding
section cgroups; ls /sys/fs/cgroup
section groupfiles; cd /sys/fs/cgroup; cat pids/pids.max memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us 2>/dev/null
cat pids.max memory.max cpu.weight cpu.max 2>/dev/null
section oom; cat /proc/self/oom_score_adj
section mounts; cat /proc/self/mountinfo
exit 9
"""


MASKED = ["/proc/version", "/proc/acpi", "/sys/firmware", "/proc/keys"]

# crun adds /dev/core, gives the caller's /dev/null to the container's user, and makes links for controllers that the host
# does not have; its mounts below /sys/fs/cgroup differ for the same reason.
NOT_COMPARED = {("crun", "devices"), ("crun", "cgroups"), ("crun", "mounts")}


def sections(text):
    found = {}
    for line in text.splitlines():
        if line.startswith("== "):
            found[line[3:]] = lines = []
        else:
            lines.append(line)
    found["cgroups"] = [name for name in found["cgroups"] if not re.fullmatch("c[0-9a-f]{12}", name)]  # the own
    found["mounts"] = sorted(normal_mount(line) for line in found["mounts"])
    return found


def normal_mount(line):
    """Place, options, type and superblock options; without numbers, names of devices, and this host's root."""
    left, right = line.split(" - ")
    fields, (kind, _, options) = left.split(), right.split(" ", 2)
    if fields[4] in MASKED:
        return fields[4]  # by what it is hidden is the runtime's choice
    if fields[4] == "/sys/fs/cgroup" and kind == "tmpfs":
        fields[5] = re.sub(r"\b(ro|rw)\b", "", fields[5])  # Debian's runc leaves it writable, whatever is asked
    tags = sorted({re.sub(r":.*", "", tag) for tag in fields[6:]})
    if fields[4] == "/" or kind in ("cgroup", "cgroup2"):
        options = ""
    options = ",".join(sorted(o for o in options.split(",") if o not in ("inode64",)))
    return f"{fields[4]} {','.join(sorted(fields[5].split(',')))} {tags} {kind} {options}"


class AgreementTestCase(unittest.TestCase):
    maxDiff = None

    def observe(self, name, bundle):
        runtime = Runtime(name)
        try:
            done = runtime("run", "--bundle", bundle.write(), new_id(), check=False)
            self.assertEqual((done.returncode, done.stderr), (9, ""), name)
            return sections(done.stdout)
        finally:
            runtime.close()

    def compare(self, bundle):
        self.addCleanup(bundle.close)
        own = self.observe("strata", bundle)
        for name in ("runc", "crun"):
            other = self.observe(name, bundle)
            for section in own:
                if (name, section) not in NOT_COMPARED:
                    self.assertEqual(own[section], other[section], f"{section}: strata and {name}")

    def full_bundle(self):
        bundle = Bundle(script=PROBE)
        bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}]
        bundle.process["user"] = {"uid": 0, "gid": 0, "additionalGids": [10, 20], "umask": 0o27}
        bundle.process["oomScoreAdj"] = 100
        bundle.process["env"] += ["ONE=1", "HOME=/root"]
        bundle.config["mounts"] += [mount("/sys/fs/cgroup", "cgroup", options=["nosuid", "noexec", "nodev", "relatime", "ro"]),
                                    mount("/volume", "tmpfs", options=["nosuid", "nodev", "size=4m", "mode=1777"]),
                                    mount("/data", "bind", "/etc", ["rbind", "ro", "nosuid", "rprivate"])]
        bundle.linux.update(maskedPaths=MASKED, readonlyPaths=["/proc/sys", "/proc/irq"],
                            sysctl={"net.ipv4.ip_forward": "1", "kernel.shmmni": "777"})
        bundle.linux["resources"].update(pids={"limit": 99}, memory={"limit": 64 << 20}, cpu={"shares": 300, "quota": 40000, "period": 100000})
        bundle.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660, "uid": 0, "gid": 20}]
        bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                                   "syscalls": [{"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO"}]}
        return bundle

    def test_as_root(self):
        self.compare(self.full_bundle())

    def test_read_only_root_and_a_user(self):
        bundle = self.full_bundle()
        bundle.config["root"]["readonly"] = True
        bundle.process["user"] = {"uid": 1000, "gid": 1000}
        self.compare(bundle)

    def test_with_a_cgroup_namespace(self):
        bundle = self.full_bundle()
        bundle.namespace("cgroup")
        self.compare(bundle)

    def test_in_a_user_namespace(self):
        bundle = self.full_bundle()
        bundle.namespace("user")
        bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        bundle.linux["devices"] = []
        for folder, _, files in os.walk(bundle.rootfs):
            for name in [".", *files]:
                os.chown(os.path.join(folder, name), 100000, 100000, follow_symlinks=False)
        self.compare(bundle)


if __name__ == "__main__":
    unittest.main()
