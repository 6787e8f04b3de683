"""The container runtime on a host that is not like this one: Debian's kernel 6.1 with cgroup v2 alone, in a machine of
Strata's own; another one was started by systemd, one has SELinux. One machine a class; each test runs a suite in it."""
import unittest

import machine


class HostCase(unittest.TestCase):
    PARAMETERS = ""

    @classmethod
    def setUpClass(cls):
        cls.host = machine.OtherHost(cls.PARAMETERS)
        cls.addClassCleanup(cls.host.close)
        cls.host.__enter__()

    def suite(self, file, *tests, folder="/tmp"):
        status, output = self.host.run(f"TMPDIR={folder} python3 {file} {' '.join(tests)} 2>&1")
        print(output)
        self.assertEqual(status, 0, file)
        self.assertRegex(output, r"\nRan [1-9]\d* tests? in ")


class Hosts(HostCase):
    def test_the_host_has_cgroup_v2_alone(self):
        mounts = self.host.check("cat /proc/self/mountinfo")
        self.assertIn(" - cgroup2 ", mounts)
        self.assertNotIn(" - cgroup ", mounts)
        self.assertEqual(self.host.check("uname -r")[:4], "6.1.")

    def test_what_control_groups_have_a_part_in(self):
        self.suite("test_lifecycle.py", *(f"LifecycleTestCase.test_{name}" for name in (
            "pause_and_resume", "paused_container_is_deleted_by_force", "kill_all_without_a_pid_namespace", "list_and_ps",
            "stats", "delete_by_force", "failed_create_leaves_nothing", "run_leaves_nothing")),
            "ExecTestCase.test_detached", "ExecTestCase.test_same_namespaces_and_cgroups")

    def test_features_of_some_hosts(self):
        self.suite("hosts/test_features.py")
        self.suite("test_isolation.py", "MountsTestCase.test_id_mapped_bind", folder="/root")  # ext4; tmpfs came later

    def test_agreement_with_runc_and_crun(self):
        self.suite("test_agreement.py", "AgreementTestCase.test_with_a_cgroup_namespace",
                   "AgreementTestCase.test_in_a_user_namespace")

    def test_unified_control_groups(self):
        self.suite("hosts/test_unified.py")

    def test_checkpoint_and_restore(self):
        self.suite("hosts/test_checkpoint.py")

    def test_flags_of_checkpoint_and_restore(self):
        self.suite("hosts/test_checkpoint_flags.py")


class Systemd(HostCase):
    PARAMETERS = "host=systemd"

    def test_systemd_makes_control_groups(self):
        self.assertEqual(self.host.check("cat /proc/1/comm"), "systemd")
        self.suite("hosts/test_systemd.py")

    def test_the_suites_with_its_control_groups(self):
        self.host.check("export OCI_RUNTIME_FLAGS=--systemd-cgroup")
        self.suite("test_lifecycle.py", *(f"LifecycleTestCase.test_{name}" for name in (
            "pause_and_resume", "paused_container_is_deleted_by_force", "kill_all_without_a_pid_namespace", "stats",
            "delete_by_force", "failed_create_leaves_nothing", "run_leaves_nothing")),
            "ExecTestCase.test_detached", "ExecTestCase.test_same_namespaces_and_cgroups")
        self.suite("hosts/test_checkpoint.py", "CheckpointTestCase.test_a_counting_process_goes_on")


class SystemdVersion1(HostCase):
    """As Debian did until version 10."""
    PARAMETERS = "host=systemd systemd.unified_cgroup_hierarchy=0"

    def test_systemd_makes_control_groups(self):
        self.assertIn(" - cgroup ", self.host.check("cat /proc/self/mountinfo"))
        self.suite("hosts/test_systemd_v1.py")
        self.host.check("export OCI_RUNTIME_FLAGS=--systemd-cgroup")
        self.suite("test_lifecycle.py", "LifecycleTestCase.test_pause_and_resume", "LifecycleTestCase.test_run_leaves_nothing",
                   "ExecTestCase.test_same_namespaces_and_cgroups")


class SELinux(HostCase):
    PARAMETERS = "security=selinux"

    def test_labels(self):
        self.assertIn("selinux", self.host.check("cat /sys/kernel/security/lsm"))
        self.suite("hosts/test_selinux.py", folder="/root")  # ext4: files have labels of their own


if __name__ == "__main__":
    unittest.main()
