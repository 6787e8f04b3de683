"""The container runtime on a host that is not like this one: Debian's kernel 6.1 with cgroup v2 alone, in a machine of
Strata's own. One machine for all; each test runs a suite in it."""
import unittest

import machine


def setUpModule():
    global HOST
    HOST = machine.OtherHost()
    unittest.addModuleCleanup(HOST.close)
    HOST.__enter__()


class Hosts(unittest.TestCase):
    def suite(self, file, *tests, folder="/tmp"):
        status, output = HOST.run(f"TMPDIR={folder} python3 {file} {' '.join(tests)} 2>&1")
        print(output)
        self.assertEqual(status, 0, file)
        self.assertRegex(output, r"\nRan [1-9]\d* tests? in ")

    def test_the_host_has_cgroup_v2_alone(self):
        mounts = HOST.check("cat /proc/self/mountinfo")
        self.assertIn(" - cgroup2 ", mounts)
        self.assertNotIn(" - cgroup ", mounts)
        self.assertEqual(HOST.check("uname -r")[:4], "6.1.")

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


if __name__ == "__main__":
    unittest.main()
